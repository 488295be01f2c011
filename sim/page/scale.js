// Time to place: stretches in which nothing happens are cut short, unless time is shown as it passed.

const IDLE_GROWTH = 0.4;
const CLOSEST = 0.16;

// `times` ascending; `travel` is what a message takes.  Places count in travels.
function makeScale(times, travel, end, isTrue) {
  const known = [...new Set([0, ...times, end])].sort((one, other) => one - other);
  const places = [0];
  const breaks = [];
  for (let index = 1; index < known.length; index += 1) {
    const gap = (known[index] - known[index - 1]) / travel;
    let width = gap;
    if (!isTrue) {
      width = gap <= 1.6 ? Math.max(gap, CLOSEST) : 1.6 + IDLE_GROWTH * Math.log(gap / 1.6);
      if (gap > 8) breaks.push({ from: known[index - 1], until: known[index] });
    }
    places.push(places[index - 1] + width);
  }
  return { known, places, breaks, width: places[places.length - 1] || 1 };
}

function between(list, value) {
  let low = 0;
  let high = list.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

function interpolate(from, to, value) {
  if (from.length === 1) return to[0];
  const low = between(from, value);
  const span = from[low + 1] - from[low] || 1;
  return to[low] + ((value - from[low]) / span) * (to[low + 1] - to[low]);
}

function placeOf(scale, time) {
  return interpolate(scale.known, scale.places, Math.max(0, time));
}

function timeOf(scale, place) {
  return interpolate(scale.places, scale.known, Math.min(Math.max(0, place), scale.width));
}

// Rectangles that are taken: labels that would overlap one of them are left out.
function makeRoom() {
  const cells = new Map();
  const SIZE = 64;
  const touched = (box) => {
    const keys = [];
    for (let column = Math.floor(box.x / SIZE); column <= Math.floor((box.x + box.w) / SIZE); column += 1) {
      for (let row = Math.floor(box.y / SIZE); row <= Math.floor((box.y + box.h) / SIZE); row += 1) {
        keys.push(column * 10007 + row);
      }
    }
    return keys;
  };
  const overlaps = (one, other) => one.x < other.x + other.w && other.x < one.x + one.w
    && one.y < other.y + other.h && other.y < one.y + one.h;
  return {
    isFree: (box) => touched(box).every((key) => (cells.get(key) || []).every((other) => !overlaps(box, other))),
    take: (box) => touched(box).forEach((key) => {
      if (!cells.has(key)) cells.set(key, []);
      cells.get(key).push(box);
    }),
  };
}

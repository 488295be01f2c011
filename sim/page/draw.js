// The diagram as markup: lines, shades, arrows, axis.  Marks at the lines are in marks.js.

const LEFT = 104;
const AXIS = 62;
const ARROWS_MAX = 800;
const BIN = 10;
const CUTS = new Set(["partition", "view-partition", "one-way", "isolate", "leader", "ring"]);
const AGAIN = "came again";

function geometry(view) {
  const count = view.model.lines.length;
  const spacing = Math.max(38, Math.min(112, Math.round(640 / count)));
  view.spacing = spacing;
  view.height = AXIS + count * spacing + 10;
  view.lineY = view.model.lines.map((_, line) => AXIS + (line + 0.62) * spacing);
  view.inner = Math.max(200, view.width - LEFT);
}

function xOf(view, time) {
  return LEFT + (placeOf(view.scale, time) - view.left) * view.zoom;
}

function visibleTimes(view) {
  return [timeOf(view.scale, view.left), timeOf(view.scale, view.left + view.inner / view.zoom)];
}

function drawing(view) {
  const [from, until] = visibleTimes(view);
  const room = makeRoom();
  const current = view.current();
  const parts = [shades(view, from, until, room), lifelines(view)];
  const arrows = visiblePassages(view, from, until);
  view.isDense = arrows.length > ARROWS_MAX;
  parts.push(view.isDense ? bars(view, from, until) : arrows.map((one) => arrow(view, one, "")).join(""));
  const [past, future] = marks(view, from, until, room, current ? current.at : view.model.end);
  parts.push(future);
  if (current) {
    const x = xOf(view, current.at);
    const veil = Math.max(x + 1, LEFT);
    if (veil < view.width) {
      parts.push(`<rect class="veil" x="${veil}" y="${AXIS}" width="${view.width - veil}" height="${view.height - AXIS}"/>`);
    }
    parts.push(past, `<line class="cursor" x1="${x}" x2="${x}" y1="${AXIS - 8}" y2="${view.height}"/>`);
    parts.push(highlight(view, current));
  } else {
    parts.push(past);
  }
  parts.push(violations(view, from, until, room), axis(view, room), names(view));
  return definitions(view) + parts.join("");
}

function definitions(view) {
  const heads = view.model.kinds.map((_, kind) => `<marker id="head${kind}" viewBox="0 0 10 10" refX="9" refY="5"
    markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path class="head k${kind % 6}" d="M0 1L10 5L0 9z"/></marker>`);
  return `<defs>${heads.join("")}<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
    <rect class="hatch-ground" width="7" height="7"/><line class="hatch" x1="0" x2="0" y1="0" y2="7"/></pattern>
    <pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle class="dot" cx="2" cy="2" r="1.1"/></pattern>
    <clipPath id="inside"><rect x="${LEFT}" y="0" width="${view.inner}" height="${view.height}"/></clipPath></defs>`;
}

// --- what lies behind ---------------------------------------------------------------------------

function shades(view, from, until, room) {
  const parts = [];
  view.model.spans.forEach((span, number) => {
    if (span.until < from || span.from > until || !view.shows("fact:faults")) return;
    const x = Math.max(LEFT, xOf(view, span.from));
    const w = Math.min(view.width, xOf(view, span.until)) - x;
    if (["crash", "pause"].includes(span.kind) || w <= 0) return;
    const rows = span.lines.map((line) => `<rect class="split" x="${x}" width="${w}"
      y="${view.lineY[line] - view.spacing / 2}" height="${view.spacing}"/>`);
    const ends = CUTS.has(span.kind) ? [span.from, span.until] : [];
    const bounds = ends.map((time) => xOf(view, time)).filter((at) => at >= LEFT && at <= view.width)
      .map((at) => `<line class="edge" x1="${at}" x2="${at}" y1="${AXIS}" y2="${view.height}"/>`);
    parts.push(`<g data-span="${number}">${rows.join("")}${bounds.join("")}</g>`);
    parts.push(label(room, x + 4, AXIS - 24, span.words, "fault-name", w + 40));
  });
  return parts.join("");
}

function lifelines(view) {
  const parts = [];
  view.lineY.forEach((y, line) => {
    parts.push(`<line class="life" x1="${LEFT}" x2="${Math.min(view.width, xOf(view, view.model.end))}" y1="${y}" y2="${y}" data-line="${line}"/>`);
  });
  view.model.downs.forEach((down) => {
    const x = Math.max(LEFT, xOf(view, down.from));
    const w = Math.min(view.width, xOf(view, down.until)) - x;
    if (w <= 0) return;
    const y = view.lineY[down.line];
    const isStart = down.from === 0;
    parts.push(`<rect class="gap" x="${x}" y="${y - 2}" width="${w}" height="4"/>`);
    if (!isStart) parts.push(`<rect class="${down.kind}" x="${x}" y="${y - 7}" width="${w}" height="14" rx="2"/>`);
  });
  view.model.reigns.forEach((reign) => {
    const x = Math.max(LEFT, xOf(view, reign.from));
    const w = Math.min(view.width, xOf(view, reign.until)) - x;
    if (w > 0 && view.shows("fact:decided")) {
      parts.push(`<rect class="reign v${reign.value % 8}" x="${x}" y="${view.lineY[reign.line] - 3.5}" width="${w}" height="7"/>`);
    }
  });
  return `<g clip-path="url(#inside)">${parts.join("")}</g>`;
}

// --- messages -----------------------------------------------------------------------------------

function visiblePassages(view, from, until) {
  return view.model.passages.filter((one) => {
    const ended = one.ended < 0 ? one.sent + view.model.travel : one.ended;
    const saying = view.model.sayings[one.saying];
    const isAgain = saying.again || one.why === AGAIN;
    return one.sent <= until && ended >= from && view.shows(`kind:${saying.kind}`) && (view.repeats || !isAgain)
      && (view.losses || one.fate === "arrived");
  });
}

function arrow(view, passage, more) {
  const saying = view.model.sayings[passage.saying];
  const x1 = xOf(view, passage.sent);
  const y1 = view.lineY[saying.line];
  const y2 = view.lineY[passage.receiver];
  const kind = `k${saying.kind % 6}`;
  const again = saying.again ? " again" : "";
  if (passage.fate !== "arrived") {
    const reach = Math.max(16, Math.min(xOf(view, passage.sent + view.model.travel) - x1, 60));
    const share = Math.min(0.45, (0.42 * view.spacing) / Math.abs(y2 - y1));
    const x = x1 + reach * Math.max(share, 0.3);
    const y = y1 + (y2 - y1) * share;
    const cross = `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`;
    return `<g class="message lost ${kind}${again} ${more}" data-saying="${passage.saying}" clip-path="url(#inside)">
      <path class="reach" d="M${x1} ${y1}L${x} ${y}"/><path class="cross" d="${cross}"/></g>`;
  }
  const x2 = xOf(view, passage.ended);
  // What comes twice left its sender at no time of its own: only its arrival is drawn.
  const stub = passage.why === AGAIN ? `M${x2 - 12} ${y2 + Math.sign(y1 - y2) * 30}` : `M${x1} ${y1}`;
  const d = `${stub}L${x2} ${y2 + (y2 > y1 ? -4 : 4)}`;
  return `<g class="message ${kind}${again} ${more}" data-saying="${passage.saying}" clip-path="url(#inside)">
    <path class="grip" d="${d}"/><path class="shaft" d="${d}" marker-end="url(#head${saying.kind})"/></g>`;
}

// Too many to see: how many messages left each validator, by kind, in each stretch.
function bars(view, from, until) {
  const columns = new Map();
  view.model.sayings.forEach((saying) => {
    if (saying.at < from || saying.at > until || !view.shows(`kind:${saying.kind}`) || (saying.again && !view.repeats)) return;
    const column = Math.floor(xOf(view, saying.at) / BIN);
    const key = `${column} ${saying.line}`;
    if (!columns.has(key)) columns.set(key, new Map());
    const kinds = columns.get(key);
    kinds.set(saying.kind, (kinds.get(saying.kind) || 0) + 1);
  });
  const highest = Math.max(1, ...[...columns.values()].map((kinds) => [...kinds.values()].reduce((sum, one) => sum + one, 0)));
  const unit = Math.min(9, (view.spacing * 0.55) / highest);
  const parts = [];
  columns.forEach((kinds, key) => {
    const [column, line] = key.split(" ").map(Number);
    let y = view.lineY[line] - 4;
    [...kinds].sort((one, other) => one[0] - other[0]).forEach(([kind, count]) => {
      const height = count * unit;
      y -= height;
      parts.push(`<rect class="bar k${kind % 6}" x="${column * BIN}" y="${y}" width="${BIN - 2}" height="${height}"/>`);
    });
  });
  return `<g clip-path="url(#inside)">${parts.join("")}</g>`;
}

function highlight(view, event) {
  const parts = [];
  if (event.saying) {
    const copies = event.passage ? [event.passage] : event.saying.copies;
    copies.forEach((passage) => parts.push(arrow(view, passage, "current")));
    parts.push(origin(view, event.saying, event.index, "current"));
  } else if (event.line >= 0) {
    parts.push(`<circle class="ring" cx="${xOf(view, event.at)}" cy="${view.lineY[event.line]}" r="15"/>`);
  }
  return parts.join("");
}

// --- what lies before ---------------------------------------------------------------------------

function axis(view, room) {
  const parts = [`<rect class="ground" x="0" y="0" width="${view.width}" height="18"/>`];
  view.scale.breaks.forEach((one) => {
    const x = (xOf(view, one.from) + xOf(view, one.until)) / 2;
    const w = xOf(view, one.until) - xOf(view, one.from);
    if (x < LEFT || x > view.width || w < 26) return;
    const words = `${formatTime(one.until - one.from)} idle`;
    const fits = words.length * 6.6 < w - 4;
    parts.push(label(room, x - words.length * 3.2, 12, fits ? words : "", "idle", w));
    view.lineY.forEach((y) => parts.push(`<path class="break" d="M${x - 5} ${y + 4}l4 -8l3 8l4 -8"/>`));
  });
  for (let x = LEFT + 8; x < view.width - 60; x += 24) {
    const time = timeOf(view.scale, view.left + (x - LEFT) / view.zoom);
    if (time > view.model.end || view.scale.breaks.some((one) => time > one.from && time < one.until)) continue;
    const words = formatTime(time);
    const box = { x: x - 34, y: 2, w: words.length * 7 + 44, h: 12 };
    if (!room.isFree(box)) continue;
    room.take(box);
    parts.push(`<text class="tick" x="${x + 3}" y="12">${words}</text><line class="tick" x1="${x}" x2="${x}" y1="3" y2="18"/>`);
  }
  return parts.join("");
}

function violations(view, from, until, room) {
  const lines = [];
  const flags = [];
  view.model.events.filter((one) => one.type === "fact" && one.fact.kind === "violated" && one.at >= from && one.at <= until).forEach((event) => {
    const x = xOf(view, event.at);
    const words = event.fact.words.split(":")[0];
    const w = words.length * 7.6 + 26;
    const left = Math.max(LEFT, Math.min(x - 9, view.width - w - 2));
    const box = { x: left, y: 21, w, h: 18 };
    const flag = room.isFree(box)
      ? `<rect class="flag" x="${left}" y="21" width="${w}" height="18" rx="3"/><text class="flag-text" x="${left + 6}" y="34">! ${escapeText(words)}</text>`
      : `<path class="flag" d="M${x - 6} 41h12l-6 9z"/>`;
    room.take(box);
    lines.push(`<line x1="${x}" x2="${x}" y1="41" y2="${view.height}"/>`);
    flags.push(`<g data-event="${event.index}">${flag}</g>`);
  });
  return `<g class="violation">${lines.join("")}${flags.join("")}</g>`;
}

function names(view) {
  const current = view.current();
  const states = view.states;
  const rows = view.model.lines.map((line, number) => {
    const y = view.lineY[number];
    const role = line.role === "twin" ? "twin" : line.role;
    const isActor = current && current.line === number ? " actor" : "";
    const tag = role ? `<text class="role" x="10" y="${y + 19}">${escapeText(role.slice(0, 14))}</text>` : "";
    const life = states[number].life;
    const note = !role && life !== "up" ? `<text class="life-note" x="10" y="${y + 19}">${life}</text>` : "";
    return `<g class="name${role ? " byzantine" : ""}${isActor}"><rect class="plate" x="4" y="${y - 12}" width="${LEFT - 22}" height="${role ? 36 : 24}" rx="4"/>
      <text x="10" y="${y + 5}">${escapeText(line.name)}</text>${tag}${note}</g>`;
  });
  return `<rect class="ground" x="0" y="0" width="${LEFT - 8}" height="${view.height}"/>${rows.join("")}`;
}

function label(room, x, y, words, kind, widest) {
  if (!words) return "";
  const fits = Math.floor(widest / 6.9);
  if (fits < 4) return "";
  const shown = words.length > fits ? `${words.slice(0, fits - 1)}…` : words;
  const box = { x, y: y - 11, w: shown.length * 6.9 + 10, h: 14 };
  if (!room.isFree(box)) return "";
  room.take(box);
  return `<text class="${kind}" x="${x}" y="${y}">${escapeText(shown)}</text>`;
}

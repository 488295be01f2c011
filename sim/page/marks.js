// Marks at the lines: what validators said, and what happened to them.

const ICONS = {
  timeout: '<circle r="7.5"/><path d="M0 -4.5V0L3.5 2"/>',
  entered: '<path d="M-6 8V-7L7 -3L-6 1"/>',
  locked: '<path d="M-4 -1V-4a4 4 0 0 1 8 0V-1"/><rect class="solid" x="-6.5" y="-1" width="13" height="9" rx="1.5"/>',
  quorum: '<path d="M0 -8.5L8.5 0L0 8.5L-8.5 0z"/><path d="M-3 0l2.4 2.6l4 -5"/>',
  certificate: '<path d="M0 -6L6 0L0 6L-6 0z"/>',
  certified: '<rect x="-7" y="-6" width="14" height="12" rx="2"/><path d="M-3.5 0l2.6 2.6l4.4 -5"/>',
  accused: '<path d="M0 -8L8.5 7H-8.5z"/><path d="M0 -2.5V2M0 4.2v1"/>',
  note: '<circle r="3"/>',
  booted: '<path d="M-6 5L0 -6L6 5z"/>',
  resumed: '<path d="M-6 5L0 -6L6 5z"/>',
  paused: '<path d="M-3 -6V6M3 -6V6"/>',
  crashed: '<path d="M-6 -6L6 6M6 -6L-6 6"/>',
  stopped: '<path d="M-6 -6L6 6M6 -6L-6 6"/>',
  robbed: '<path d="M-7 -5h14v10h-14zM-7 5L7 -5"/>',
};
const MARKS_MAX = 700;
const ON_LINE = new Set(["booted", "resumed", "paused", "crashed", "stopped", "robbed"]);

// What is over by `now`, and what is still to come: the one stands before the veil, the other behind.
function marks(view, from, until, room, now) {
  const past = [];
  const future = [];
  const put = (event, markup) => (event.at <= now ? past : future).push(markup);
  const events = view.model.events.filter((one) => one.at >= from && one.at <= until && view.isShown(one));
  const said = view.isDense ? [] : events.filter((one) => one.type === "said");
  const facts = events.filter((one) => one.type === "fact" && one.line >= 0);
  const decisions = facts.filter((one) => one.fact.kind === "decided");
  const others = facts.filter((one) => !ON_LINE.has(one.fact.kind) && one.fact.kind !== "decided");
  others.sort((one, other) => importance(one) - importance(other) || one.index - other.index);
  const drawn = decisions.map((one) => [one, ...decision(view, one, room)]);
  said.forEach((one) => put(one, origin(view, one.saying, one.index, "")));
  facts.filter((one) => ON_LINE.has(one.fact.kind)).forEach((one) => put(one, icon(view, one, 0, "")));
  if (others.length < MARKS_MAX) others.forEach((one) => put(one, raised(view, one, room)));
  said.forEach((one) => put(one, caption(view, one, room)));
  [false, true].forEach((isNamed) => drawn.filter((one) => one[2] === isNamed).forEach(([one, markup]) => put(one, markup)));
  return [past, future].map((parts) => `<g clip-path="url(#inside)">${parts.join("")}</g>`);
}

function importance(event) {
  return { accused: 0, locked: 1, entered: 2, timeout: 3, quorum: 4, certified: 5, certificate: 6 }[event.fact.kind] ?? 7;
}

// The place where something was said, with the colour of the value it is about.
function origin(view, saying, index, more) {
  const x = xOf(view, saying.at);
  const y = view.lineY[saying.line];
  const value = saying.value >= 0 ? `v${saying.value % 8}` : "no-value";
  return `<g class="origin k${saying.kind % 6} ${more}" data-event="${index}" data-saying-event="1">
    <circle class="grip" cx="${x}" cy="${y}" r="11"/><circle class="body ${value}" cx="${x}" cy="${y}" r="${more ? 7 : 5.5}"/></g>`;
}

function caption(view, event, room) {
  const words = event.saying.label;
  const w = words.length * 6.7 + 4;
  const x = xOf(view, event.at) - 5;
  const y = view.lineY[event.line];
  const rows = view.spacing > 70 ? [19, 33] : [17];
  for (const row of rows) {
    const box = { x, y: y + row - 11, w, h: 13 };
    if (x + w < view.width && room.isFree(box)) {
      room.take(box);
      return `<text class="caption k${event.saying.kind % 6}" x="${x}" y="${y + row}">${escapeText(words)}</text>`;
    }
  }
  return "";
}

// Where another decision stands already, a narrow bar without a name.
function decision(view, event, room) {
  const x = xOf(view, event.at);
  const y = view.lineY[event.line];
  const name = `#${event.fact.value + 1}`;
  const wide = Math.max(26, name.length * 9 + 10);
  const isFree = room.isFree({ x: x - wide / 2, y: y - 13, w: wide, h: 26 });
  const w = isFree ? wide : 7;
  room.take({ x: x - w / 2 - 1, y: y - 14, w: w + 2, h: 28 });
  const text = isFree ? `<text x="${x}" y="${y + 5}">${name}</text>` : "";
  return [`<g class="decision v${event.fact.value % 8}" data-event="${event.index}"><rect class="body" x="${x - w / 2}" y="${y - 12}"
    width="${w}" height="24" rx="${isFree ? 5 : 2}"/>${text}</g>`, isFree];
}

function icon(view, event, level, words) {
  const { kind, value } = event.fact;
  const x = xOf(view, event.at);
  const y = view.lineY[event.line] - (level ? 6 + level * 18 : 0);
  const stem = level ? `<line class="stem" x1="${x}" x2="${x}" y1="${view.lineY[event.line]}" y2="${y + 7}"/>` : "";
  const tint = value >= 0 && kind !== "quorum" ? `tint v${value % 8}` : "";
  const text = words ? `<text x="${x + 12}" y="${y + 4}">${escapeText(words)}</text>` : "";
  return `<g class="mark ${kind} ${tint}" data-event="${event.index}">${stem}<g transform="translate(${x} ${y})"><circle class="grip" r="11"/>${ICONS[kind] || ICONS.note}</g>${text}</g>`;
}

// A mark above the line, where there is room: with its words, without them, or not at all.
function raised(view, event, room) {
  const levels = Math.max(1, Math.floor((view.spacing - 22) / 18));
  const x = xOf(view, event.at);
  for (const words of [shortWords(event.fact), ""]) {
    for (let level = 1; level <= levels; level += 1) {
      const y = view.lineY[event.line] - 6 - level * 18;
      const w = words ? 24 + words.length * 6.7 : 19;
      const box = { x: x - 9, y: y - 9, w, h: 18 };
      if (x + w < view.width && y > AXIS - 14 && room.isFree(box)) {
        room.take(box);
        return icon(view, event, level, words);
      }
    }
  }
  return "";
}

function shortWords(fact) {
  if (fact.kind === "entered") return fact.fields.length ? fact.fields[fact.fields.length - 1].join(" ") : fact.words;
  if (fact.kind === "locked") return `lock ${fact.value >= 0 ? `#${fact.value + 1}` : ""}`.trim();
  if (fact.kind === "timeout") return fact.words.replace(" ended", "").replace("timeout ", "");
  if (fact.kind === "quorum" || fact.kind === "certificate") return quorumText(fact.words);
  return fact.words.replace(/ of two in .*/, "");
}

// What stands beside the diagram: states, filters, the list of events.

const PAGE_ROWS = 200;
const MAP_HEIGHT = 34;
const FACT_NAMES = {
  decided: "decisions", locked: "locks", quorum: "quorums heard", certificate: "certificates shown", entered: "rounds and views entered",
  timeout: "timeouts", lives: "crashes, pauses, starts", faults: "partitions and other faults", confirmations: "confirmations",
  accusations: "accusations", note: "other notes", violations: "violations",
};
const FACT_ICONS = { lives: "crashed", confirmations: "certified", accusations: "accused" };

function chip(value, words) {
  return `<span class="chip v${value % 8}">${escapeText(words)}</span>`;
}

function drawStates(view) {
  const current = view.current();
  const head = ["", "state", "decided", "where", "said last", "locked on", "last quorum"];
  const rows = view.model.lines.map((line, number) => {
    const state = view.states[number];
    const isActor = current && current.line === number;
    const role = line.role ? ` <span class="badge">${escapeText(line.role)}</span>` : "";
    const decided = state.decided.slice(-6).map((one) => chip(one.value, one.number ? `${one.number}: #${one.value + 1}` : `#${one.value + 1}`));
    if (state.decided.length > 6) decided.unshift(`${state.decided.length - 6} more,`);
    const cells = [state.where, state.said, state.lock, state.quorum].map((text) => `<td>${escapeText(text)}</td>`);
    return `<tr${isActor ? ' class="actor" aria-current="true"' : ""}><th scope="row">${escapeText(line.name)}${role}</th><td>${state.life}</td><td>${decided.join(" ")}</td>${cells.join("")}</tr>`;
  });
  document.getElementById("state").innerHTML = `<thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody>`;
}

function drawFilters(view) {
  const { model } = view;
  const count = new Map();
  model.events.forEach((one) => { if (view.repeats || !one.again) count.set(one.key, (count.get(one.key) || 0) + 1); });
  const box = (key, words, sample) => `<label><input type="checkbox" data-key="${key}"${view.hidden.has(key) ? "" : " checked"}> ${sample} ${escapeText(words)} <span class="count">${count.get(key) || 0}</span></label>`;
  const kinds = model.kinds.map((kind, number) => box(`kind:${number}`, kind, `<svg width="46" height="14" aria-hidden="true"><g class="message k${number % 6}"><path class="shaft" d="M2 7H36"/><path class="head k${number % 6}" d="M35 2L45 7L35 12z"/></g></svg>`));
  const facts = Object.keys(FACT_NAMES).filter((key) => count.get(`fact:${key}`)).map((key) => {
    const shape = ICONS[FACT_ICONS[key] || key];
    const sample = key === "decided" ? chip(0, "#1") : key === "violations" ? '<span class="flag-sample">!</span>'
      : key === "faults" ? '<span class="split-sample"></span>'
        : `<svg width="22" height="20" aria-hidden="true"><g class="mark ${FACT_ICONS[key] || key}" transform="translate(11 10)">${shape || ICONS.note}</g></svg>`;
    return box(`fact:${key}`, FACT_NAMES[key], sample);
  });
  const extra = [
    `<label><input type="checkbox" id="losses"${view.losses ? " checked" : ""}> <svg width="46" height="14" aria-hidden="true"><g class="message lost k0"><path class="reach" d="M2 7H30"/><path class="cross" d="M27 3l8 8m0 -8l-8 8"/></g></svg> lost messages</label>`,
    `<label><input type="checkbox" id="repeats"${view.repeats ? " checked" : ""}> what is said again</label>`,
    box("heard", "step at each arrival, too", ""),
  ];
  document.getElementById("filters").innerHTML = `<fieldset><legend>Messages</legend>${kinds.join("")}${extra.join("")}</fieldset><fieldset><legend>Events</legend>${facts.join("")}</fieldset>`;
}

function drawLegend(view) {
  const { model } = view;
  const decided = new Set(model.facts.filter((one) => one.kind === "decided").map((one) => one.value));
  const values = model.values.map((words, value) => [words, value]).filter(([, value]) => decided.has(value) || model.values.length <= 6).slice(0, 12);
  const rows = values.map(([words, value]) => `<li>${chip(value, `#${value + 1}`)} ${escapeText(words)}</li>`);
  document.getElementById("legend").innerHTML = `<p>A dot is where something was said; it and a decision have the colour of their value, and a line
    that has decided runs on in it, so that a fork is two colours. Hatched: not running. Shaded: cut off from the others.</p><ul>${rows.join("")}</ul>`;
}

function drawList(view) {
  if (!document.getElementById("listing").open) return;
  const shown = view.steps;
  const first = Math.min(view.listFrom, Math.max(0, shown.length - 1));
  const rows = shown.slice(first, first + PAGE_ROWS).map((index, place) => {
    const event = view.model.events[index];
    const isCurrent = view.step === first + place;
    const kind = event.type === "fact" ? event.fact.kind : event.type;
    return `<tr${isCurrent ? ' class="actor" aria-current="true"' : ""}><td><button type="button" data-step="${first + place}" aria-label="Go to event ${first + place + 1}">${first + place + 1}</button></td>
      <td>${formatTime(event.at)}</td><td>${escapeText(lineName(view.model, event.line))}</td><td>${escapeText(kind)}</td><td>${escapeText(tell(view.model, event))}</td></tr>`;
  });
  const head = ["event", "time", "validator", "kind", "what happened"].map((name) => `<th scope="col">${name}</th>`);
  document.getElementById("events").innerHTML = `<thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("")}</tbody>`;
  document.getElementById("range").textContent = `Events ${first + 1} to ${Math.min(shown.length, first + PAGE_ROWS)} of ${shown.length}`;
  document.getElementById("earlier").disabled = first === 0;
  document.getElementById("later").disabled = first + PAGE_ROWS >= shown.length;
}

function drawAbout(view) {
  document.getElementById("about").innerHTML = view.model.about.map(([name, told]) => `<dt>${escapeText(name)}</dt><dd>${escapeText(told)}</dd>`).join("");
  document.getElementById("story").textContent = view.model.story;
  const broken = view.model.facts.filter((one) => one.kind === "violated");
  const verdict = document.getElementById("verdict");
  verdict.className = broken.length ? "broken" : "sound";
  const facts = Object.fromEntries(view.model.about);
  verdict.textContent = broken.length
    ? `${broken[0].words}, after ${formatTime(broken[0].at)}${broken.length > 1 ? ` (and ${broken.length - 1} more)` : ""}.`
    : `No property is violated in this run. ${facts.protocol}; seed ${facts.seed}; faults: ${facts.faults}.`;
  document.getElementById("broken").hidden = broken.length === 0;
}

const DENSITY = 3;

function columnOf(view, time) {
  const count = Math.max(1, Math.floor(view.inner / DENSITY));
  return Math.min(count - 1, Math.floor((placeOf(view.scale, time) / view.scale.width) * count));
}

// How much happens when, and where it breaks.
function densityOf(view) {
  const columns = [];
  view.steps.forEach((index) => {
    const column = columnOf(view, view.model.events[index].at);
    columns[column] = (columns[column] || 0) + 1;
  });
  const highest = Math.max(1, ...columns.filter(Boolean));
  const bars = columns.map((count, place) => `<rect class="density" x="${LEFT + place * DENSITY}" y="${MAP_HEIGHT - 4 - (count / highest) * 26}"
    width="2" height="${(count / highest) * 26 + 1}"/>`);
  const broken = view.model.facts.filter((one) => one.kind === "violated")
    .map((one) => `<rect class="flag" x="${LEFT + columnOf(view, one.at) * DENSITY - 1}" y="2" width="4" height="${MAP_HEIGHT - 4}"/>`);
  return bars.join("") + broken.join("");
}

// The whole run, and which part of it is in view.
function drawMap(view) {
  const map = document.getElementById("map");
  const share = view.inner / view.scale.width;
  const x = LEFT + Math.max(0, view.left * share);
  const w = Math.min(view.inner, (view.inner / view.zoom) * share);
  map.setAttribute("viewBox", `0 0 ${view.width} ${MAP_HEIGHT}`);
  map.setAttribute("height", MAP_HEIGHT);
  map.innerHTML = `${view.density}<rect class="window" x="${x}" y="1" width="${w}" height="${MAP_HEIGHT - 2}" rx="3"/>`;
}

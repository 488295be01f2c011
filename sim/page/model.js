// What happened in a run: events in order, and where each validator stands after any of them.

const data = JSON.parse(document.getElementById("data").textContent);
const FATES = ["arrived", "lost", "under way"];

function makeModel(raw) {
  const text = raw.texts;
  const model = {
    name: raw.name,
    story: raw.story,
    about: raw.about,
    lines: raw.lines.map(([name, role]) => ({ name, role })),
    values: raw.values,
    kinds: raw.kinds,
    end: raw.end,
    sayings: raw.sayings.map(([at, line, kind, value, label, words, again]) => ({
      at, line, kind, value, label: text[label], words: text[words], again: again === 1, copies: [],
    })),
    facts: raw.facts.map(([at, line, kind, value, words, routine, fields]) => ({
      at, line, kind: text[kind], value, words: text[words], routine: routine === 1, fields,
    })),
    spans: raw.spans.map(([kind, from, until, lines, words]) => ({ kind, from, until, lines, words })),
  };
  model.passages = raw.passages.map(([saying, receiver, sent, ended, fate, why]) => {
    const passage = { saying, receiver, sent, ended, fate: FATES[fate], why: text[why] };
    model.sayings[saying].copies.push(passage);
    return passage;
  });
  model.travel = medianTravel(model.passages);
  model.events = eventsOf(model);
  model.downs = downTimes(model);
  model.reigns = decisionReigns(model);
  return model;
}

function medianTravel(passages) {
  const times = passages.filter((one) => one.fate === "arrived").map((one) => one.ended - one.sent);
  times.sort((one, other) => one - other);
  return Math.max(200, times[times.length >> 1] || 2000);
}

// Everything that one can step to; `key` names the filter that shows it.
function eventsOf(model) {
  const events = [];
  model.sayings.forEach((saying) => {
    events.push({ at: saying.at, line: saying.line, type: "said", key: `kind:${saying.kind}`,
      again: saying.again, saying });
  });
  model.passages.forEach((passage) => {
    if (passage.fate === "arrived") {
      const saying = model.sayings[passage.saying];
      events.push({ at: passage.ended, line: passage.receiver, type: "heard", key: "heard",
        again: saying.again || passage.why === "came again", saying, passage });
    }
  });
  model.facts.forEach((fact) => {
    events.push({ at: fact.at, line: fact.line, type: "fact", key: `fact:${groupOf(fact.kind)}`,
      again: fact.routine, fact });
  });
  model.spans.forEach((span) => {
    events.push({ at: span.from, line: -1, type: "span", key: "fact:faults", again: false, span });
  });
  const order = { span: 0, heard: 1, fact: 2, said: 3 };
  events.forEach((event, place) => { event.place = place; });
  events.sort((one, other) => one.at - other.at || order[one.type] - order[other.type] || one.place - other.place);
  events.forEach((event, index) => { event.index = index; });
  return events;
}

function groupOf(kind) {
  const groups = { booted: "lives", resumed: "lives", paused: "lives", crashed: "lives", stopped: "lives",
    robbed: "lives", violated: "violations", accused: "accusations", certified: "confirmations" };
  return groups[kind] || kind;
}

// When each line was not running: [{line, from, until, kind}].
function downTimes(model) {
  const downs = [];
  model.lines.forEach((_, line) => {
    let since = 0;
    let kind = "down";
    model.facts.forEach((fact) => {
      if (fact.line !== line) return;
      const ends = fact.kind === "booted" || fact.kind === "resumed";
      if (ends && since !== null) {
        downs.push({ line, from: since, until: fact.at, kind });
        since = null;
      } else if (["crashed", "stopped", "paused"].includes(fact.kind) && (since === null || kind === "paused")) {
        if (since !== null) downs.push({ line, from: since, until: fact.at, kind });
        since = fact.at;
        kind = fact.kind === "paused" ? "paused" : "down";
      }
    });
    if (since !== null) downs.push({ line, from: since, until: model.end, kind });
  });
  return downs.filter((down) => down.until > down.from);
}

// From each decision of a line until its next one: what the line stands for.
function decisionReigns(model) {
  const reigns = [];
  const open = new Map();
  model.facts.forEach((fact) => {
    if (fact.kind !== "decided" || fact.value < 0) return;
    const before = open.get(fact.line);
    if (before) before.until = fact.at;
    const reign = { line: fact.line, from: fact.at, until: model.end, value: fact.value };
    open.set(fact.line, reign);
    reigns.push(reign);
  });
  return reigns;
}

// Where every validator stands after the events up to and including this index.
function stateAt(model, index) {
  const states = model.lines.map(() => ({ life: "not started", where: "", said: "", lock: "", quorum: "", decided: [] }));
  for (let place = 0; place <= index; place += 1) {
    const event = model.events[place];
    const state = states[event.line];
    if (!state) continue;
    if (event.type === "said" && model.kinds[event.saying.kind] !== "certificate") {
      state.said = event.saying.label;
    } else if (event.type === "fact") {
      const { kind, words, value, fields } = event.fact;
      if (kind === "booted" || kind === "resumed") state.life = "up";
      else if (kind === "crashed") state.life = "down";
      else if (kind === "stopped") state.life = "stopped";
      else if (kind === "paused") state.life = "paused";
      else if (kind === "entered") state.where = fields.map(([name, told]) => `${name} ${told}`).join(", ");
      else if (kind === "locked") state.lock = fields.map(([name, told]) => (name === "value" ? told : `${name} ${told}`)).join(", ");
      else if (kind === "quorum" || kind === "certificate") state.quorum = quorumText(words);
      else if (kind === "decided") state.decided.push({ value, number: fields.length ? fields[0][1] : "" });
    }
  }
  return states;
}

function quorumText(words) {
  return words.replace("has a quorum of ", "").replace("was shown the certificate of ", "").replace(/: .*| by .*/, "").replace(" for ", " ");
}

function lineName(model, line) {
  return model.lines[line] ? model.lines[line].name : "";
}

// One event in words, for the live region, the tip and the table.
function tell(model, event) {
  const who = lineName(model, event.line);
  if (event.type === "fact") return `${who} ${event.fact.words}`.trim();
  if (event.type === "span") return `begins: ${event.span.words}, for ${formatTime(event.span.until - event.span.from)}`;
  if (event.type === "heard") {
    const late = event.passage.why ? ` (${event.passage.why})` : "";
    return `${who} heard ${event.saying.label} from ${lineName(model, event.saying.line)}${late}`;
  }
  return `${who} said ${event.saying.label}${event.saying.again ? " again" : ""}${fateText(model, event.saying)}`;
}

function fateText(model, saying) {
  const names = (fate) => saying.copies.filter((one) => one.fate === fate).map((one) => lineName(model, one.receiver));
  const parts = [];
  const add = (word, who) => { if (who.length) parts.push(`${word} ${[...new Set(who)].join(" ")}`); };
  add("heard by", names("arrived"));
  add("lost to", names("lost"));
  add("under way to", names("under way"));
  return parts.length ? `; ${parts.join(", ")}` : "";
}

function formatTime(us) {
  const ms = us / 1000;
  if (ms >= 100000) return `${(ms / 1000).toFixed(1)} s`;
  const digits = ms < 100 ? 1 : 0;
  return `${ms.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ms`;
}

function escapeText(text) {
  return String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

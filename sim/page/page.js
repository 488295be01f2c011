// The page: one view of one run, and everything that moves it.

const models = data.runs.map(makeModel);
const byId = (id) => document.getElementById(id);
const diagram = byId("diagram");
const tip = byId("tip");
const SHOWN_WHOLE = 130;
const PLAY_MS = 900;

const view = {
  model: models[0], scale: null, zoom: 40, left: 0, width: 1000, step: -1, steps: [], states: [],
  hidden: new Set(["heard", "fact:note"]), repeats: false, losses: true, isTrue: false, isDense: false, listFrom: 0, playing: 0,
  shows: (key) => !view.hidden.has(key),
  isShown: (event) => view.shows(event.key) && (view.repeats || !event.again),
  current: () => (view.step >= 0 ? view.model.events[view.steps[view.step]] : null),
};

// --- what is shown --------------------------------------------------------------------------------

// Filters, the run or the kind of time changed: find the steps and the scale anew.
function recount(at) {
  view.steps = view.model.events.filter(view.isShown).map((one) => one.index);
  const times = view.model.events.filter((one) => one.type === "heard" ? view.shows(`kind:${one.saying.kind}`) && (view.repeats || !one.again) : view.isShown(one)).map((one) => one.at);
  view.scale = makeScale(times, view.model.travel, view.model.end, view.isTrue);
  view.density = densityOf(view);
  view.stated = NaN;
  view.step = view.steps.findLastIndex((index) => view.model.events[index].at <= at);
  if (view.step < 0 && view.steps.length) view.step = 0;
}

function showRun(number) {
  const at = view.current() ? view.current().at : null;
  view.model = models[number];
  geometry(view);
  const broken = view.model.facts.find((one) => one.kind === "violated");
  recount(broken ? broken.at : at ?? view.model.end);
  if (broken) view.step = view.steps.findIndex((index) => view.model.events[index].fact === broken);
  if (view.steps.length <= SHOWN_WHOLE) showAll();
  else showStretch();
  drawAbout(view);
  drawFilters(view);
  drawLegend(view);
  [...byId("runs").children].forEach((button, place) => button.setAttribute("aria-checked", String(place === number)));
}

function showAll() {
  view.zoom = view.inner / (view.scale.width * 1.02);
  view.left = 0;
}

// So wide that single messages can be told apart, around the current event.
function showStretch() {
  view.zoom = Math.max(view.inner / (view.scale.width * 1.02), (view.inner / view.scale.width) * (view.steps.length / SHOWN_WHOLE));
  bringIntoView(true);
}

function bringIntoView(isCentred) {
  const event = view.current();
  if (!event) return;
  const place = placeOf(view.scale, event.at);
  const wide = view.inner / view.zoom;
  if (isCentred || place < view.left + wide * 0.04 || place > view.left + wide * 0.94) view.left = place - wide * (isCentred ? 0.75 : 0.5);
  keepInside();
}

function keepInside() {
  const wide = view.inner / view.zoom;
  view.left = Math.max(Math.min(view.left, view.scale.width * 1.02 - wide), 0);
}

let isPlanned = false;
function redraw() {
  if (isPlanned) return;
  isPlanned = true;
  requestAnimationFrame(() => { isPlanned = false; render(); });
}

function render() {
  const hadFocus = document.activeElement === diagram;
  const current = view.current();
  const index = current ? current.index : -1;
  const isMoved = view.stated !== index || view.statedModel !== view.model;
  if (isMoved) {
    view.states = stateAt(view.model, index);
    view.stated = index;
    view.statedModel = view.model;
  }
  diagram.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
  diagram.setAttribute("height", view.height);
  diagram.innerHTML = drawing(view);
  drawMap(view);
  if (isMoved) {
    drawStates(view);
    drawList(view);
  }
  const where = current ? `Event ${view.step + 1} of ${view.steps.length}, ${formatTime(current.at)}: ` : "";
  const words = current ? `${where}${tell(view.model, current)}.` : "Nothing has happened yet.";
  const dense = view.isDense ? " Zoomed out: bars count messages; zoom in to see each." : "";
  if (byId("now").textContent !== words + dense) byId("now").textContent = words + dense;
  byId("now").classList.toggle("broken", Boolean(current && current.fact && current.fact.kind === "violated"));
  if (hadFocus) diagram.focus({ preventScroll: true });
  if (hadFocus && current && view.isStepping) showTip(current, xOf(view, current.at), view.lineY[Math.max(0, current.line)]);
  view.isStepping = false;
}

// --- moving ---------------------------------------------------------------------------------------

function goTo(step) {
  view.step = Math.max(0, Math.min(view.steps.length - 1, step));
  view.listFrom = Math.floor(view.step / PAGE_ROWS) * PAGE_ROWS;
  view.isStepping = true;
  bringIntoView(false);
  try {
    history.replaceState(null, "", `#step=${view.step + 1}`);
  } catch { /* A page without an address of its own keeps none. */ }
  redraw();
}

function zoomBy(factor, x) {
  const at = x ?? (view.current() ? xOf(view, view.current().at) : LEFT + view.inner / 2);
  const inside = Math.max(0, Math.min(view.inner, at - LEFT));
  const place = view.left + inside / view.zoom;
  view.zoom = Math.max(view.inner / (view.scale.width * 1.02), Math.min(view.zoom * factor, 4000));
  view.left = place - inside / view.zoom;
  keepInside();
  redraw();
}

function panBy(pixels) {
  view.left += pixels / view.zoom;
  keepInside();
  redraw();
}

function play(isOn) {
  clearInterval(view.playing);
  view.playing = isOn ? setInterval(() => (view.step < view.steps.length - 1 ? goTo(view.step + 1) : play(false)), PLAY_MS) : 0;
  byId("play").textContent = isOn ? "Stop" : "Play";
  byId("play").setAttribute("aria-pressed", String(isOn));
}

function nextViolation() {
  const broken = view.steps.map((index, step) => [view.model.events[index], step]).filter(([event]) => event.fact && event.fact.kind === "violated").map(([, step]) => step);
  if (broken.length) goTo(broken.find((step) => step > view.step) ?? broken[0]);
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").setAttribute("aria-pressed", String(name === "dark"));
}

function isDark() {
  return (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

// --- what is under the pointer --------------------------------------------------------------------

function eventOf(target) {
  const mark = target.closest("[data-event]");
  if (mark) return view.model.events[Number(mark.dataset.event)];
  const message = target.closest("[data-saying]");
  if (!message) return null;
  const saying = view.model.sayings[Number(message.dataset.saying)];
  return view.model.events.find((one) => one.type === "said" && one.saying === saying);
}

function showTip(event, x, y) {
  const more = event.saying ? `<p>${escapeText(event.saying.words)}</p>` : "";
  const whys = event.saying ? [...new Set(event.saying.copies.map((one) => one.why).filter(Boolean))] : [];
  tip.innerHTML = `<strong>${formatTime(event.at)}: ${escapeText(tell(view.model, event))}</strong>${more}${whys.length ? `<p>${escapeText(whys.join("; "))}</p>` : ""}`;
  tip.hidden = false;
  const scale = diagram.getBoundingClientRect().width / view.width;
  tip.style.left = `${Math.max(4, Math.min(x * scale + 14, diagram.clientWidth - tip.offsetWidth - 4))}px`;
  const below = y * scale + 22;
  tip.style.top = `${below + tip.offsetHeight > diagram.clientHeight + 60 ? Math.max(0, y * scale - tip.offsetHeight - 18) : below}px`;
}

function listen() {
  const press = { first: () => goTo(0), back: () => goTo(view.step - 1), forward: () => goTo(view.step + 1), last: () => goTo(view.steps.length - 1),
    play: () => play(!view.playing), broken: nextViolation, in: () => zoomBy(1.5), out: () => zoomBy(1 / 1.5), fit: () => { showAll(); redraw(); },
    theme: () => setTheme(isDark() ? "light" : "dark") };
  Object.entries(press).forEach(([id, act]) => byId(id).addEventListener("click", act));
  const keys = { ArrowRight: "forward", ArrowLeft: "back", Home: "first", End: "last", "+": "in", "=": "in", "-": "out", 0: "fit", p: "play", v: "broken", d: "theme" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, table, .scroll, [role=radiogroup]")) return;
    if (event.key === "Escape") tip.hidden = true;
    if (event.shiftKey && event.key.startsWith("Arrow")) panBy(event.key === "ArrowRight" ? 120 : -120);
    else if (keys[event.key]) press[keys[event.key]]();
    else return;
    event.preventDefault();
  });
  byId("time").addEventListener("change", (event) => {
    view.isTrue = event.target.value === "true";
    recount(view.current() ? view.current().at : 0);
    showStretch();
    redraw();
  });
  byId("filters").addEventListener("change", (event) => {
    const { key } = event.target.dataset;
    const at = view.current() ? view.current().at : 0;
    if (event.target.id === "repeats") view.repeats = event.target.checked;
    else if (event.target.id === "losses") view.losses = event.target.checked;
    else if (event.target.checked) view.hidden.delete(key);
    else view.hidden.add(key);
    recount(at);
    keepInside();
    redraw();
  });
  byId("listing").addEventListener("toggle", () => drawList(view));
  byId("events").addEventListener("click", (event) => {
    if (event.target.dataset.step) goTo(Number(event.target.dataset.step));
  });
  byId("earlier").addEventListener("click", () => { view.listFrom = Math.max(0, view.listFrom - PAGE_ROWS); drawList(view); });
  byId("later").addEventListener("click", () => { view.listFrom += PAGE_ROWS; drawList(view); });
  listenToPointer();
  new ResizeObserver(() => {
    const width = Math.max(360, Math.floor(byId("figure").clientWidth));
    if (width === view.width) return;
    const wide = view.inner / view.zoom;
    view.width = width;
    geometry(view);
    view.density = densityOf(view);
    view.zoom = view.inner / wide;
    redraw();
  }).observe(byId("figure"));
}

function listenToPointer() {
  const at = (event) => {
    const box = diagram.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * view.width, ((event.clientY - box.top) / box.height) * view.height];
  };
  diagram.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) panBy(event.deltaX || event.deltaY);
    else zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, at(event)[0]);
  }, { passive: false });
  let drag = null;
  diagram.addEventListener("pointerdown", (event) => { drag = { x: at(event)[0], moved: false }; });
  diagram.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (drag && event.buttons) {
      if (Math.abs(x - drag.x) > 3 || drag.moved) {
        drag.moved = true;
        panBy(drag.x - x);
        drag.x = x;
      }
      return;
    }
    const found = eventOf(event.target);
    if (found) showTip(found, x, y);
    else tip.hidden = true;
  });
  diagram.addEventListener("pointerleave", () => { tip.hidden = true; });
  diagram.addEventListener("click", (event) => {
    const found = eventOf(event.target);
    if (found && !(drag && drag.moved)) goTo(view.steps.indexOf(found.index));
    drag = null;
  });
  diagram.addEventListener("focus", () => {
    if (diagram.matches(":focus-visible") && view.current()) showTip(view.current(), xOf(view, view.current().at), view.lineY[Math.max(0, view.current().line)]);
  });
  diagram.addEventListener("blur", () => { tip.hidden = true; });
  byId("map").addEventListener("pointerdown", moveWindow);
  byId("map").addEventListener("pointermove", (event) => { if (event.buttons) moveWindow(event); });
}

function moveWindow(event) {
  const box = byId("map").getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * view.width - LEFT;
  view.left = (x / view.inner) * view.scale.width - view.inner / view.zoom / 2;
  keepInside();
  redraw();
}

// --- the beginning --------------------------------------------------------------------------------

function makeRunButtons() {
  const runs = byId("runs");
  runs.hidden = models.length < 2;
  runs.innerHTML = models.map((one, number) => `<button type="button" role="radio" aria-checked="false" data-run="${number}">${escapeText(one.name)}</button>`).join("");
  const choose = (number) => { showRun(number); redraw(); };
  runs.addEventListener("click", (event) => { if (event.target.dataset.run) choose(Number(event.target.dataset.run)); });
  runs.addEventListener("keydown", (event) => {
    const place = [...runs.children].indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (place < 0 || !step) return;
    const next = (place + step + models.length) % models.length;
    runs.children[next].focus();
    choose(next);
    event.preventDefault();
  });
}

// "#run=2&step=12&theme=dark": where a link leads.
function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.get("theme")) setTheme(wanted.get("theme") === "dark" ? "dark" : "light");
  if (wanted.get("filter")) wanted.get("filter").split(",").forEach((key) => view.hidden.delete(key));
  showRun(Math.max(0, Math.min(models.length, Number(wanted.get("run") || 1)) - 1));
  if (wanted.get("zoom") === "all") showAll();
  if (wanted.get("open")) byId(wanted.get("open")).open = true;
  if (wanted.get("step")) {
    view.step = Math.max(0, Math.min(view.steps.length, Number(wanted.get("step"))) - 1);
    bringIntoView(false);
  }
}

view.width = Math.max(360, Math.floor(byId("figure").clientWidth) || 1000);
makeRunButtons();
readAddress();
listen();
if (isDark()) setTheme("dark");
render();

// The page: one state, which is its link; whatever is done makes another.

const root = document.getElementById("results");
const problem = document.getElementById("problem");
const heading = document.getElementById("asked");
const form = document.getElementById("ask");
const given = JSON.parse(document.getElementById("given").textContent);
const source = new Source(told);
const thumbnails = new Thumbnails(source);
const finder = new Finder(source);
const own = new OwnImages();
let state = stateOf(location.search);
let running = new AbortController();
let note = ""; // to be said with the next answers

const change = (other) => open_(linkOf({ ...state, ...other }));
const askWith = (images) => change({ ...NOTHING, id: some(images.map((image) => ids[image])) });

function add(images, kind) {
  const names = images.map((image) => ids[image]);
  const other = kind === "id" ? "minus" : "id";
  const rest = state[other].filter((name) => !names.includes(name));
  change({ [kind]: some([...new Set([...state[kind], ...names])]), [other]: rest });
}

// evenly, as many as one question may have
function some(names) {
  const most = told.limits.ids;
  if (names.length <= most) return names;
  note = `Asked with ${most} of the ${names.length} images: more are not taken.`;
  return Array.from({ length: most }, (_, place) => names[Math.floor((place * names.length) / most)]);
}

function open_(link) {
  if (link === linkOf(state) && location.search) return show({});
  history.pushState(null, "", link);
  return show({ travel: true });
}

function tell(words) {
  problem.textContent = words;
  problem.hidden = !words;
}

const changed = () => {
  tell("The store has changed since the page was opened. ");
  problem.append(element("a", { href: location.href }, "Open it anew"));
};
const answers = new Answers(root, source, { ask: (image) => askWith([image]), add: (image, kind) => add([image], kind), changed });
const terms = new Terms(document.getElementById("terms"), source, finder, own, change);
const filters = new Filters(form, change);
const box = new Box(form, source, finder, own, { change, open: open_, tell, state: () => state });
const map = told.layers.some(({ maps }) => maps.length) ? new AskMap(source, thumbnails, { ask: askWith, add, show: (name) => change({ map: name }) }) : null;

// bring the page to its link; `travel` goes up to the answers, `first` may use those that came with the page
async function show({ travel = false, first = false }) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  state = stateOf(location.search);
  if (!first) tell(note);
  note = "";
  terms.show(state);
  filters.show(state);
  showMap();
  heading.textContent = titled();
  document.title = `${heading.textContent} · ${told.name} · Pool5`;
  const moved = travel && (root.contains(document.activeElement) || document.activeElement === document.body);
  if (moved) heading.focus({ preventScroll: true });
  if (travel && root.getBoundingClientRect().top < 0) scrollTo({ top: 0 });
  root.ariaBusy = "true";
  const before = first && given.link === linkOf(state) ? given : {};
  try {
    await (asks(state) ? ask(before, signal) : answers.browse(state, before.listed, signal));
    if (signal.aborted) return;
    map?.answers(answers.asked, answers.found);
    if (asks(state)) say(summary());
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refusal)) console.error(error);
    root.replaceChildren();
    tell(error instanceof Refusal ? error.message : "This could not be shown.");
  }
  root.ariaBusy = "false";
}

async function ask(before, signal) {
  const { id, text, minus } = state;
  const image = state.image ? await own.get(state.image) : null;
  if (state.image && !image) throw new Refusal("The image of this question is kept in the browser that asked; drop it here again.");
  const single = id.length === 1 && !text.length && !minus.length && !image && labelled;
  answers.asked = single ? await finder.find(id[0], splitOf(state)).catch(() => null) : null;
  if (!signal.aborted) await answers.ask(state, { id, text, minus, image }, before.columns ?? [], signal);
}

function titled() {
  if (!asks(state)) return state.classes.length ? `Images that show ${state.classes.join(" or ")}` : "Images to ask with";
  const parts = [...(state.image ? ["+ your image"] : []), ...state.id.map((what) => `+ ${what}`), ...state.text.map((what) => `+ “${what}”`), ...state.minus.map((what) => `− ${what}`)];
  const named = parts.length > 4 ? `${parts.slice(0, 3).join(" ")} and ${parts.length - 3} more` : parts.join(" ");
  const where = state.classes.length ? ` that show ${state.classes.join(" or ")}` : "";
  return `Nearest to ${named.replace(/^\+ /, "")}${where}`;
}

function summary() {
  const there = answers.found.filter(Boolean);
  return `${heading.textContent}: ${there.map(({ layer, neighbors }) => `${neighbors.length} in ${layer}`).join(", ")}`;
}

function showMap() {
  if (!map) return;
  const name = map.wanted(state.map);
  const button = document.getElementById("show-map");
  button.hidden = false;
  button.ariaPressed = String(name !== null);
  map.show(name, state);
}

document.getElementById("show-map")?.addEventListener("click", () => {
  change({ map: map.wanted(state.map) === null ? map.maps[0].name : "none" });
});
addEventListener("popstate", () => show({}));
// what a form sent before the scripts were there is written as it was meant; what was wrong with it stays told
if (new URLSearchParams(location.search).has("q")) history.replaceState(null, "", given.link);
else tell("");
show({ first: true });

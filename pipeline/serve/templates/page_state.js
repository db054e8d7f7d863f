// What the page shows, as its link says it; serve/page_state.py reads the same links.

class Refusal extends Error {
  // `after` is how many seconds to wait before it may be asked again, or null
  constructor(detail, after = null) {
    super(detail);
    this.after = after;
  }
}

const LAYERS = 4;
const SHOWN = 12;
const MANY = { id: "id", text: "text", minus: "minus", of: "of", classes: "class" };
const ONE = ["image", "split", "metric", "map"];
const NOTHING = { id: [], text: [], minus: [], image: "" };

function stateOf(search) {
  const query = new URLSearchParams(search);
  const state = { k: Math.min(Math.max(Number.parseInt(query.get("k"), 10) || SHOWN, 1), told.limits.k) };
  for (const [field, name] of Object.entries(MANY)) state[field] = [...new Set(query.getAll(name).filter(Boolean))];
  for (const name of ONE) state[name] = query.get(name) ?? "";
  return state;
}

function linkOf(state) {
  const query = new URLSearchParams();
  for (const [field, name] of Object.entries(MANY)) for (const value of state[field]) query.append(name, value);
  for (const name of ONE) if (state[name]) query.set(name, state[name]);
  if (state.k !== SHOWN) query.set("k", state.k);
  return `?${query}`;
}

const asks = (state) => Boolean(state.id.length || state.text.length || state.minus.length || state.image);
const splitOf = (state) => state.split || told.split;

// the layers that are asked: those that the link names, else the first that can be
function layersOf(state) {
  if (state.of.length) return state.of.slice(0, LAYERS);
  const able = told.layers.filter((layer) => layer.splits.includes(splitOf(state))
    && (layer.words || !state.text.length) && (layer.images || !state.image));
  return able.slice(0, LAYERS).map(({ layer }) => layer);
}

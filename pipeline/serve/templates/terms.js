// What the question is made of: each part with its sign, to be turned or removed.

const TERMS_SHOWN = 12;
const PAGE = 1000;

// finds images by their ids, in the split that is searched, then in the others
class Finder {
  constructor(source) {
    this.source = source;
    this.known = new Map();
  }

  // the number of an image; null if no split has it
  find(id, split) {
    const order = [split, ...told.splits.map(({ name }) => name).filter((name) => name !== split)];
    const here = order.find((name) => numbers.has(`${name}\n${id}`));
    if (here) return Promise.resolve(numbers.get(`${here}\n${id}`));
    const key = `${split}\n${id}`;
    if (!this.known.has(key)) this.known.set(key, this.look(id, order));
    return this.known.get(key);
  }

  async look(id, order) {
    for (const split of order) {
      let offset = 0;
      for (let total = 1; offset < total; offset += PAGE) {
        const page = await this.source.images({ prefix: id, split, limit: PAGE, offset });
        const found = page.images.find((image) => image.id === id);
        if (found) return metByName(found, split);
        total = page.total;
      }
    }
    return null;
  }
}

class Terms {
  // change(what of the state is other)
  constructor(root, source, finder, own, change) {
    this.root = root;
    this.source = source;
    this.finder = finder;
    this.own = own;
    this.change = change;
  }

  show(state) {
    const terms = ["id", "text", "minus"].flatMap((kind) => state[kind].map((what) => ({ kind, what })));
    if (state.image) terms.unshift({ kind: "image", what: state.image });
    const shown = terms.slice(0, TERMS_SHOWN).map((term) => this.term(term, state));
    const further = terms.slice(TERMS_SHOWN);
    if (further.length) shown.push(this.further(further, state));
    this.root.replaceChildren(...shown);
  }

  term({ kind, what }, state) {
    const minus = kind === "minus";
    const item = element("li", { class: minus ? "term minus" : "term" });
    const called = kind === "image" ? "your image" : what;
    const name = element("span", { class: "name", title: called }, kind === "text" ? `“${what}”` : called);
    const turn = element("button", { type: "button", class: "sign", "aria-label": `${called}: ${minus ? "add it" : "take it away"}`, title: minus ? "Add it" : "Take it away" }, minus ? "−" : "+");
    const remove = element("button", { type: "button", "aria-label": `Remove ${called}`, title: "Remove" }, "×");
    turn.addEventListener("click", async () => {
      if (!minus) return this.change({ [kind]: without(state[kind], what), minus: [...state.minus, what] });
      const plus = (await this.finder.find(what, splitOf(state))) === null ? "text" : "id";
      return this.change({ minus: without(state.minus, what), [plus]: [...state[plus], what] });
    });
    remove.addEventListener("click", () => this.change(kind === "image" ? { image: "" } : { [kind]: without(state[kind], what) }));
    // an image of one's own can only be added
    item.append(...(kind === "image" ? [] : [turn]), name, remove);
    this.picture(kind, what, state).then((address) => {
      if (address) name.before(element("img", { alt: "", src: address }));
    });
    return item;
  }

  async picture(kind, what, state) {
    if (kind === "text") return null;
    if (kind === "image") {
      const blob = await this.own.get(what);
      return blob && URL.createObjectURL(blob);
    }
    const image = await this.finder.find(what, splitOf(state)).catch(() => null);
    return image === null ? null : this.source.thumb(ids[image], splits[image], 96);
  }

  further(terms, state) {
    const remove = element("button", { type: "button", "aria-label": "Remove these", title: "Remove these" }, "×");
    remove.addEventListener("click", () => {
      const gone = (kind) => state[kind].filter((what) => !terms.some((term) => term.kind === kind && term.what === what));
      this.change({ id: gone("id"), text: gone("text"), minus: gone("minus") });
    });
    return element("li", { class: "term" }, element("span", { class: "name" }, `and ${terms.length} more`), remove);
  }
}

const without = (list, what) => list.filter((each) => each !== what);

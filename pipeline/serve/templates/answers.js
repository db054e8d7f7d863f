// The answers of several layers, side by side; and, where nothing is asked, images to ask with.

const AT_ONCE = 60; // images that are put on the page at a time
const LISTED = 200; // and fetched

class Answers {
  // handlers: ask(image), add(image, "id" | "minus"), changed() where the store is another by now
  constructor(root, source, handlers) {
    this.root = root;
    this.how = document.getElementById("how");
    this.source = source;
    this.handlers = handlers;
    this.found = []; // an answer a layer, or null
    this.asked = null; // the one image that is asked with, or null
    this.shared = null; // how many answers have an image; null until all are there
    root.addEventListener("pointerover", (event) => this.pointAt(event.target));
    root.addEventListener("focusin", (event) => this.pointAt(event.target));
    root.addEventListener("pointerleave", () => this.pointAt(null));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  // ask every layer at once, and show each answer when it comes; `given` are some that are there already
  async ask(state, question, given, signal) {
    const layers = layersOf(state);
    this.found = layers.map(() => null);
    this.shared = null;
    if (!layers.length) throw new Refusal(nobody(state));
    const network = state.text.length || state.minus.length || state.image;
    const waiting = network ? "Asking; the first question in words or with a picture starts a network, which takes some seconds." : "Asking.";
    const columns = layers.map((layer) => element("article", { "data-representation": layer, "aria-busy": "true" }, element("h3", {}, layer), element("p", { class: "note" }, waiting)));
    const root = element("div", { class: layers.length > 1 ? "answers several" : "answers" }, ...columns);
    this.root.replaceChildren(root);
    await Promise.all(layers.map(async (layer, place) => {
      const there = given.find((answer) => answer?.layer === layer);
      const shown = await this.column(layer, state, question, there, place, signal);
      if (!signal.aborted) columns[place].replaceWith(shown);
    }));
    if (signal.aborted) return;
    const some = this.found.find((answer) => answer?.neighbors.length);
    this.how.textContent = some ? howNear(some, this.asked !== null) : "";
    if (layers.length > 1) this.how.append(element("span", { class: "swipe" }, " Swipe sideways to the next layer."));
    this.how.hidden = !some;
    this.tellShared();
  }

  async column(layer, state, question, given, place, signal) {
    const heading = element("h3", {}, layer);
    try {
      const answer = given ?? await this.answer(layer, state, question, signal);
      this.found[place] = answer;
      if (answer.state !== told.state) this.handlers.changed();
      const column = element("article", { "data-representation": layer }, heading, element("p", { class: "note" }, inBrief(answer)));
      const about = provenance(layer, answer);
      const list = this.list(answer.neighbors.map((near) => [metByName(near, answer.split), near]), (item) => this.neighbor(answer, state, ...item), "ol");
      list.setAttribute("aria-label", `Nearest in ${layer}`);
      column.append(about, list);
      return column;
    } catch (error) {
      if (!(error instanceof Refusal)) {
        if (error.name !== "AbortError") console.error(error);
        return element("article", {}, heading, element("p", { class: "gaps" }, "This answer could not be shown."));
      }
      const again = element("button", { type: "button", class: "plain" }, "Ask again");
      const told = element("div", { class: "gaps", role: "alert" }, element("p", {}, error.message), again);
      const column = element("article", { "data-representation": layer }, heading, told);
      again.hidden = error.after === null;
      again.addEventListener("click", async () => {
        again.disabled = true;
        column.replaceWith(await this.column(layer, state, question, null, place, signal));
        this.tellShared();
      });
      return column;
    }
  }

  async answer(layer, state, question, signal) {
    const { split, metric, classes } = state;
    const there = classes.length
      ? (await this.source.images({ class: classes, split, limit: 1, signal })).total
      : told.splits.find(({ name }) => name === splitOf(state))?.images ?? state.k;
    const k = Math.max(Math.min(state.k, there - question.id.length - question.minus.length), 1);
    const options = { k, class: classes, split, metric, signal };
    try {
      return await this.source.neighbors(question, layer, options);
    } catch (error) {
      if (!(error instanceof Refusal) || error.after === null || error.after > 5) throw error;
      await new Promise((resolve) => { setTimeout(resolve, 1000 * error.after); });
      return this.source.neighbors(question, layer, options);
    }
  }

  neighbor(answer, state, image, near) {
    const asked = this.asked;
    const hit = asked === null ? null : shareLabel(asked, image);
    const kind = hit === null ? "" : verdict(hit);
    const apart = distance(near.distance);
    const item = this.tile(image, kind ? `${hit ? "✓" : "✗"} ${apart}` : apart, kind);
    if (near.as_near !== null) {
      const share = percent(near.as_near, answer.pairs);
      const button = item.querySelector(".tile");
      button.querySelector(".verdict").after(element("span", { class: "as-near", title: `as near or nearer: ${share} of ${answer.pairs} random pairs` }, share));
      button.ariaLabel += `, as near as ${share} of random pairs`;
    }
    this.markShared(item);
    return item;
  }

  tile(image, note, kind) {
    const item = tile(image, note, kind, () => this.handlers.ask(image));
    item.dataset.image = image;
    item.querySelector(".tile").append(element("span", { class: "id" }, brief(ids[image])));
    const signs = element("span", { class: "signs" });
    for (const [sign, kind_, words] of [["+", "id", "Add to the question"], ["−", "minus", "Take away from the question"]]) {
      const button = element("button", { type: "button", tabindex: "-1", title: words, "aria-label": `${words}: ${ids[image]}` }, sign);
      button.addEventListener("click", () => this.handlers.add(image, kind_));
      signs.append(button);
    }
    item.append(signs);
    return item;
  }

  // a list that grows when its end comes near the window
  list(items, make, tag, more = null) {
    const list = element(tag, { class: "tiles" });
    const end = element("li", { "aria-hidden": "true" });
    const waiting = [...items].reverse();
    const grow = () => {
      const made = waiting.splice(-AT_ONCE).reverse().map(make);
      for (const item of made) item.querySelector(".tile").tabIndex = -1;
      end.before(...made);
      if (!list.querySelector('.tile[tabindex="0"]') && made.length) made[0].querySelector(".tile").tabIndex = 0;
      if (!waiting.length && !more) end.remove();
    };
    list.append(end);
    grow();
    const watch = new IntersectionObserver(async (entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      watch.unobserve(end);
      if (!waiting.length && more) {
        const next = await more().catch(() => []);
        if (next.length) waiting.push(...next.reverse());
        else more = null;
      }
      grow();
      if (end.isConnected) watch.observe(end); // told anew whether it is still near
    }, { rootMargin: "900px" });
    if (waiting.length || more) watch.observe(end);
    return list;
  }

  // images of a split, of some classes: to begin with one
  async browse(state, given, signal) {
    this.found = [];
    this.shared = this.asked = null;
    this.how.hidden = true;
    const filter = { class: state.classes, split: state.split, signal };
    const first = given ?? await this.source.images({ ...filter, limit: LISTED, offset: 0 });
    let offset = first.images.length;
    const make = (image) => this.tile(image, "", "");
    const more = async () => {
      if (offset >= first.total) return [];
      const { images } = await this.source.images({ ...filter, limit: LISTED, offset });
      offset += images.length;
      return images.map((image) => metByName(image, first.split));
    };
    const note = `${first.total} ${first.total === 1 ? "image" : "images"} of ${first.split}; choose one to ask with it.`;
    const list = this.list(first.images.map((image) => metByName(image, first.split)), make, "ul", more);
    list.setAttribute("aria-label", "Images");
    if (!signal.aborted) this.root.replaceChildren(element("p", { class: "note" }, note), list);
  }

  // how many answers have an image
  get counts() {
    const counts = new Map();
    for (const answer of this.found) {
      for (const { id } of answer?.neighbors ?? []) {
        const image = numbers.get(`${answer.split}\n${id}`);
        counts.set(image, (counts.get(image) ?? 0) + 1);
      }
    }
    return counts;
  }

  tellShared() {
    this.shared = this.counts;
    for (const item of this.root.querySelectorAll("li[data-image]")) this.markShared(item);
    if (this.found.filter(Boolean).length < 2) return;
    for (const [place, answer] of this.found.entries()) {
      if (!answer) continue;
      const own = answer.neighbors.filter(({ id }) => this.shared.get(numbers.get(`${answer.split}\n${id}`)) > 1).length;
      this.root.querySelectorAll("article")[place].querySelector(".note").append(` ${own} of these ${answer.neighbors.length} in another layer too.`);
    }
  }

  markShared(item) {
    const [count, of] = [this.shared?.get(Number(item.dataset.image)) ?? 1, this.found.filter(Boolean).length];
    if (count < 2 || item.querySelector(".also")) return;
    const words = count === of ? `in all ${of}` : `in ${count} of ${of}`;
    item.querySelector(".window").append(element("span", { class: "also", "aria-hidden": "true" }, words));
    item.querySelector(".tile").ariaLabel += `, ${words} layers`;
  }

  // the same image in the other answers
  pointAt(target) {
    const image = target?.closest?.("li[data-image]")?.dataset.image;
    for (const item of this.root.querySelectorAll("li.same")) item.classList.remove("same");
    if (image === undefined || (this.shared?.get(Number(image)) ?? 0) < 2) return;
    for (const item of this.root.querySelectorAll(`li[data-image="${image}"]`)) item.classList.add("same");
  }

  // arrows from image to image, plus and minus; the list is one stop of the tabulator
  key(event) {
    const own = event.target.closest(".tile");
    if (!own || event.ctrlKey || event.metaKey || event.altKey) return;
    const image = Number(own.parentElement.dataset.image);
    if (event.key === "+" || event.key === "-") this.handlers.add(image, event.key === "+" ? "id" : "minus");
    else {
      const tiles = [...own.closest(".tiles").querySelectorAll(".tile")];
      const [place, wide] = [tiles.indexOf(own), inARow(tiles)];
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide, Home: -place, End: tiles.length - 1 - place }[event.key];
      const next = tiles[place + step];
      if (!next) return;
      own.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
    event.preventDefault();
  }
}

function inARow(tiles) {
  const top = tiles[0].getBoundingClientRect().top;
  const next = tiles.findIndex((tile_) => tile_.getBoundingClientRect().top > top + 2);
  return next < 0 ? tiles.length : next;
}

function nobody(state) {
  const what = state.text.length ? "in words" : state.image ? "with an image of your own" : `of split ${splitOf(state)}`;
  return `No layer here can be asked ${what}.`;
}

function inBrief(answer) {
  return `Of ${answer.searched.toLocaleString("en")} images of ${answer.split}.${answer.note ? ` ${answer.note}` : ""}`;
}

// what the numbers under the images are
function howNear(answer, marked) {
  const told_ = answer.neighbors[0]?.as_near ?? null;
  const explained = told_ === null ? "" : `, and the share of ${answer.pairs.toLocaleString("en")} random pairs of images that are as near or nearer`;
  const marks = marked ? " ✓ shares a class with the question, ✗ shares none." : "";
  return `Under each image: its ${answer.metric} distance${explained}.${marks}`;
}

// never more digits than the number of pairs can tell
function percent(share, pairs) {
  const least = 1 / pairs;
  const written = (value) => (value >= 10 ? value.toFixed(0) : value.toPrecision(2)).replace(/\.0+$/, "");
  return share < least ? `< ${written(100 * least)} %` : `${written(100 * share)} %`;
}

// what the layer was made of: its key, as it is stored
function provenance(reference, answer) {
  const layer = told.layers.find((each) => each.layer === reference);
  const rows = [["values", `${layer.width} × ${layer.dtype}`], ...(layer.derived_of ? [["derived of", layer.derived_of]] : [])];
  const add = (name, value) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) for (const [key, own] of Object.entries(value)) add(`${name} ${key}`, own);
    else rows.push([name, Array.isArray(value) ? JSON.stringify(value) : String(value)]);
  };
  for (const [name, value] of Object.entries(layer.key)) add(name, value);
  rows.push(["digest", answer.layer_digest], ["state", answer.state]);
  const list = element("dl", { class: "measures" }, ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  return element("details", { class: "provenance" }, element("summary", {}, "How it was made"), list);
}

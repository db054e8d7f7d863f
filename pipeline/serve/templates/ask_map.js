// The map with the answers lit: a point asks, a lasso asks with many.

let plot = null; // for the report's card beside a point
const imageOf = (point) => plot.points.images[point];
const clusterOf = () => null;
const SELECTED_SHOWN = 24;

class AskMap {
  // handlers: ask(images), add(images, "id" | "minus"), show(name of the map)
  constructor(source, thumbnails, handlers) {
    this.source = source;
    this.handlers = handlers;
    this.maps = told.layers.flatMap(({ layer, maps }) => maps.map((map) => ({ layer, ...map, name: map.method === "tsne" ? layer : `${layer} ${map.method}` })));
    this.loaded = new Map();
    plot = new ScatterPlot(part("stage"), thumbnails, {
      hover: showCard,
      choose: (point) => handlers.ask([imageOf(point)]),
      lasso: (points) => this.select(points.map(imageOf)),
      toggle: (point) => {
        const chosen = new Set(this.selected);
        if (!chosen.delete(imageOf(point))) chosen.add(imageOf(point));
        this.select([...chosen]);
      },
      travel: (point) => {
        say(inWords(imageOf(point)));
        showCard(point);
      },
      clear: () => {
        this.select([]);
        showCard(null);
        plot.marks.cursor = null;
        plot.draw();
      },
      hint: () => {
        part("hint").hidden = false;
        clearTimeout(this.hinted);
        this.hinted = setTimeout(() => { part("hint").hidden = true; }, 1600);
      },
    });
    part("stage").plot = plot; // for the console, and for tests
    plot.looks = (image) => [colours[image], present[image].length > 1];
    this.selected = [];
    this.listen();
  }

  // the name of the map that a link means, or null for none
  wanted(name) {
    const there = this.maps.some((map) => map.name === name);
    if (there) return name;
    return name !== "none" && matchMedia("(min-width: 75rem)").matches ? this.maps[0].name : null;
  }

  async show(name, state) {
    part("root").hidden = name === null;
    if (name === null) return;
    plot.visible = (image) => !state.classes.length || present[image].some((number) => state.classes.includes(data.classes[number]));
    const map = this.maps.find((each) => each.name === name);
    this.current = map;
    part("layers").value = map.layer;
    this.showMethods(map);
    if (!this.loaded.has(name)) this.loaded.set(name, this.load(map));
    try {
      const points = await this.loaded.get(name);
      if (this.current !== map) return;
      if (plot.points !== points) plot.setPoints(points);
      part("stage").setAttribute("aria-label", `${map.title} map of ${points.images.length} images of ${points.split}, ${map.layer}`);
      this.split = points.split;
      this.light();
    } catch (error) {
      this.loaded.delete(name);
      part("told").textContent = error instanceof Refusal ? error.message : "The map could not be shown.";
    }
  }

  async load({ layer, method }) {
    const { split, ids: names, x, y, labels: classes } = await this.source.map(layer, method);
    return { split, images: names.map((id, place) => met(id, split, classes[place])), x, y };
  }

  // `asked` is the one image that is asked with, or null; `found` the answers
  answers(asked, found) {
    [this.asked, this.found] = [asked, found.filter(Boolean)];
    this.light();
  }

  light() {
    if (!this.current || !this.found || !plot.number) return;
    const answer = this.found.find(({ layer }) => layer === this.current.layer) ?? this.found[0];
    const images = answer ? answer.neighbors.map(({ id }) => numbers.get(`${answer.split}\n${id}`)) : [];
    const lit = images.filter((image) => plot.number.has(image));
    const centre = this.asked !== null && plot.number.has(this.asked) ? this.asked : null;
    plot.marks.chosen = centre;
    plot.marks.neighbors = centre === null ? [] : lit.map((image) => {
      const hit = !labelled || shareLabel(centre, image);
      return { image, hit, colour: hit ? "--hit" : "--miss" };
    });
    // without one image in the middle there are no lines, but the answers have rings all the same
    plot.marks.selected = new Set(this.selected.length ? this.selected : centre === null ? lit : []);
    if (centre !== null) plot.bringIntoView(plot.number.get(centre));
    part("stage").dataset.lit = lit.length;
    part("told").textContent = answer ? `Lit: ${lit.length} of the ${images.length} nearest in ${answer.layer}${lit.length < images.length ? `; the others are not on this map of ${this.split}` : ""}.` : "";
    plot.draw();
  }

  select(images) {
    this.selected = images;
    const panel = part("selection");
    panel.hidden = !images.length;
    plot.marks.selected = new Set(images);
    plot.draw();
    this.light();
    if (!images.length) return;
    const title = `${images.length} ${images.length === 1 ? "image" : "images"} selected`;
    const button = (words, action) => {
      const made = element("button", { type: "button", class: "plain" }, words);
      made.addEventListener("click", () => {
        this.select([]);
        action?.();
      });
      return made;
    };
    const shown = element("p", {}, images.slice(0, SELECTED_SHOWN).map((image) => brief(ids[image])).join(", "), images.length > SELECTED_SHOWN ? ", …" : "");
    panel.replaceChildren(element("h2", {}, title), shown, button("Ask with all", () => this.handlers.ask(images)),
      button("Add", () => this.handlers.add(images, "id")), button("Take away", () => this.handlers.add(images, "minus")), button("Clear"));
    say(title);
  }

  showMethods(map) {
    const own = this.maps.filter(({ layer }) => layer === map.layer);
    const group = part("methods");
    if (group.dataset.layer !== map.layer) radios(group, own.map(({ title }) => title), (place) => this.handlers.show(own[place].name));
    group.dataset.layer = map.layer;
    group.hidden = own.length < 2;
    mark(group, own.indexOf(map));
  }

  listen() {
    mapButtons(plot);
    part("layers").addEventListener("change", (event) => {
      const own = this.maps.filter(({ layer }) => layer === event.target.value);
      this.handlers.show((own.find(({ method }) => method === this.current.method) ?? own[0]).name);
    });
  }
}

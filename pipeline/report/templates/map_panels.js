// What stands around the map: layers and methods, classes and clusters, the card under the pointer, neighbors,
// and the selection.

const data = JSON.parse(document.getElementById("map-data").textContent);
const thumbnails = new Thumbnails(data.sprites);
const { ids, present, difficult, colours } = data.images;
const part = (name) => document.getElementById(`map-${name}`);
const labelled = data.classes.length > 0; // whether the images have labels at all
const SELECTED_SHOWN = 60;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// a name that is too long for a line: both its ends
const brief = (name) => (name.length > 48 ? `${name.slice(0, 24)}…${name.slice(-23)}` : name);

function classLabel(text, number) {
  const label = element("span", { class: text === "label" ? "label" : `label ${text}` });
  const dot = element("span", { class: "dot" });
  dot.style.setProperty("--dot", data.classColours[number]);
  label.append(dot, brief(data.classes[number]));
  return label;
}

function labels(image) {
  const line = element("span", { class: "labels" });
  for (const number of present[image]) line.append(classLabel("label", number));
  for (const number of difficult[image]) line.append(classLabel("difficult", number));
  if (labelled && !line.childNodes.length) line.append("no class");
  return line;
}

function inWords(image) {
  const words = present[image].map((number) => data.classes[number]);
  words.push(...difficult[image].map((number) => `${data.classes[number]} (only difficult)`));
  return labelled ? `${ids[image]}: ${words.join(", ") || "no class"}` : ids[image];
}

const verdict = (hit) => (labelled ? (hit ? "hit" : "miss") : "");
const shareLabel = (a, b) => present[a].some((number) => present[b].includes(number));
const distance = (value) => (Math.abs(value) < 10 ? value.toFixed(3) : value.toPrecision(4)).replace("-", "−");

const chosenClasses = new Set();
const imageOf = (point) => plot.points.images[point];

const plot = new ScatterPlot(part("stage"), thumbnails, {
  hover: showCard,
  choose: (point) => showNeighbors(imageOf(point)),
  lasso: (points) => select(points.map(imageOf)),
  toggle: (point) => {
    const chosen = new Set(plot.marks.selected);
    if (!chosen.delete(imageOf(point))) chosen.add(imageOf(point));
    select([...chosen]);
  },
  travel: (point) => {
    say(inWords(imageOf(point)));
    showCard(point);
  },
  clear: () => {
    select([]);
    closeNeighbors();
    showCard(null);
    plot.marks.cursor = null;
    plot.draw();
  },
  hint: () => {
    part("hint").hidden = false;
    clearTimeout(part("hint").timer);
    part("hint").timer = setTimeout(() => { part("hint").hidden = true; }, 1600);
  },
});
part("stage").plot = plot; // for the console, and for tests
plot.visible = (image) => chosenClasses.size === 0 || present[image].some((number) => chosenClasses.has(number));
plot.looks = (image) => {
  if (!byCluster) return [colours[image], present[image].length > 1];
  const found = data.clusters[data.maps[currentMap].layer];
  return [found.colours[clusterOf(image) ?? 0], false];
};

// the number of an image's cluster in the layer that the map shows; 0 in none, null where it was not clustered
let byCluster = false;
const clusters = new Map(Object.entries(data.clusters).map(([layer, { images }]) => [
  layer, new Map(images.flatMap((own, cluster) => own.map((image) => [image, cluster]))),
]));
const clusterOf = (image) => clusters.get(data.maps[currentMap].layer)?.get(image) ?? null;

function say(text) {
  part("live").textContent = text;
}

// the card beside the point that the pointer or the keyboard is at
function showCard(point) {
  const card = part("card");
  card.hidden = point === null;
  if (point === null) return;
  const image = imageOf(point);
  card.replaceChildren(thumbnails.canvas(image, ids[image]), element("div", { class: "id" }, ids[image]), labels(image));
  const cluster = clusterOf(image);
  if (cluster !== null) card.append(element("div", { class: "note" }, cluster ? `cluster ${cluster}` : "in no cluster"));
  const [x, y] = plot.screen(point);
  const left = x + 18 + card.offsetWidth > plot.width ? x - 18 - card.offsetWidth : x + 18;
  card.style.left = `${Math.max(left, 4)}px`;
  card.style.top = `${Math.min(Math.max(y - card.offsetHeight / 2, 4), plot.height - card.offsetHeight - 4)}px`;
}

function tile(image, note, kind, action) {
  const window_ = element("span", { class: "window" });
  if (thumbnails.has(image)) window_.append(thumbnails.canvas(image, ids[image]));
  else window_.append("no picture");
  const button = element("button", { type: "button", class: `tile ${kind}`, "aria-label": `${inWords(image)}${note ? `, ${note}` : ""}` });
  button.append(window_);
  if (note) button.append(element("span", { class: "verdict" }, note));
  button.append(element("span", {}, present[image].map((number) => data.classes[number]).join(", ")));
  button.title = inWords(image);
  button.addEventListener("click", action);
  return element("li", {}, button);
}

function showNeighbors(image) {
  const panel = part("neighbors");
  const close = element("button", { type: "button", class: "plain push" }, "Close");
  close.addEventListener("click", () => {
    closeNeighbors();
    part("stage").focus({ preventScroll: true });
  });
  const about = element("div", {}, element("h3", {}, "Neighbors of ", element("span", { class: "id" }, ids[image])), labels(image));
  const head = element("div", { class: "panel-head" }, thumbnails.canvas(image, ids[image]), about, close);
  const columns = element("div", { class: "representations" });
  for (const { name, images, distances, search } of data.neighborhoods) {
    const near = images[image];
    const hits = near.filter((other) => shareLabel(image, other)).length;
    const list = element("ol", { class: "tiles" });
    near.forEach((other, rank) => {
      const hit = shareLabel(image, other);
      const apart = distance(distances[image][rank]);
      const note = labelled ? `${hit ? "✓" : "✗"} ${apart}` : apart;
      list.append(tile(other, note, verdict(hit), () => thumbnails.has(other) && showNeighbors(other)));
    });
    const note = labelled ? `${hits} of ${near.length} share a label; ${search}` : search;
    columns.append(element("div", { "data-representation": name }, element("h4", {}, name), element("p", { class: "note" }, note), list));
  }
  const explained = element("p", { class: "note" }, `The nearest of ${data.searched} test images by ${data.metric} distance. ${labelled ? "✓ shares a label, ✗ shares none. " : ""}Choose one to go there.`);
  panel.replaceChildren(head, columns, explained);
  panel.hidden = false;
  plot.marks.chosen = image;
  plot.marks.cursor = plot.number.get(image) ?? null;
  markNeighbors();
  if (plot.marks.cursor !== null) plot.bringIntoView(plot.marks.cursor);
  plot.draw();
  say(`Neighbors of ${inWords(image)} are listed below the map.`);
}

// rings on the map: the neighbors in the layer that it shows
function markNeighbors() {
  const { chosen } = plot.marks;
  const own = data.neighborhoods.find(({ name }) => name === data.maps[currentMap].layer);
  plot.marks.neighbors = chosen === null || !own ? [] : own.images[chosen].map((image) => {
    const hit = !labelled || shareLabel(chosen, image);
    return { image, hit, colour: hit ? "--hit" : "--miss" };
  });
}

function closeNeighbors() {
  part("neighbors").hidden = true;
  plot.marks.chosen = null;
  plot.marks.neighbors = [];
  plot.draw();
}

function select(images, shown = SELECTED_SHOWN) {
  plot.marks.selected = new Set(images);
  plot.draw();
  const panel = part("selection");
  panel.hidden = images.length === 0;
  if (!images.length) return;
  const counts = data.classes.map((_, number) => [images.filter((image) => present[image].includes(number)).length, number]);
  const classes = element("p", { class: "labels" });
  for (const [count, number] of counts.filter(([n]) => n).sort((a, b) => b[0] - a[0])) {
    const label = classLabel("label", number);
    label.append(element("small", {}, ` ${count}`));
    classes.append(label);
  }
  const clear = element("button", { type: "button", class: "plain push" }, "Clear");
  clear.addEventListener("click", () => {
    select([]);
    part("stage").focus({ preventScroll: true });
  });
  const list = element("ul", { class: "tiles" });
  for (const image of images.slice(0, shown)) list.append(tile(image, "", "", () => showNeighbors(image)));
  const text = element("textarea", { readonly: "", "aria-label": "Ids of the selected images", spellcheck: "false" });
  text.value = images.map((image) => ids[image]).join("\n");
  text.addEventListener("focus", () => text.select());
  const title = `${images.length} ${images.length === 1 ? "image" : "images"} selected`;
  panel.replaceChildren(element("div", { class: "panel-head" }, element("h3", {}, title), clear), classes, list);
  if (images.length > shown) {
    const more = element("button", { type: "button", class: "plain" }, `Show all ${images.length}`);
    more.addEventListener("click", () => select(images, Infinity));
    panel.append(element("p", {}, more));
  }
  panel.append(element("details", {}, element("summary", {}, "Ids, to copy"), text));
  say(title);
}

// classes: none chosen shows all, several show the images with any of them
function showClasses() {
  const points = data.maps[currentMap].images;
  const chips = data.classes.map((name, number) => {
    const count = points.filter((image) => present[image].includes(number)).length;
    const dot = element("span", { class: "dot" });
    dot.style.setProperty("--dot", data.classColours[number]);
    const chip = element("button", { type: "button", class: "chip", "aria-pressed": String(chosenClasses.has(number)) }, dot, brief(name), element("small", {}, String(count)));
    chip.addEventListener("click", () => {
      if (!chosenClasses.delete(number)) chosenClasses.add(number);
      chip.setAttribute("aria-pressed", String(chosenClasses.has(number)));
      filterChanged();
    });
    return count || chosenClasses.has(number) ? chip : null;
  });
  part("classes").replaceChildren(...chips.filter(Boolean));
}

function filterChanged() {
  part("all").hidden = chosenClasses.size === 0;
  const count = plot.points.images.filter(plot.visible).length;
  part("stage").dataset.visible = count;
  say(`${count} of ${plot.points.images.length} images shown`);
  plot.draw();
}

part("all").addEventListener("click", () => {
  chosenClasses.clear();
  showClasses();
  filterChanged();
});

let currentMap = 0;
const layers = [...new Set(data.maps.map(({ layer }) => layer))];
const mapsOf = (layer) => data.maps.flatMap((map, number) => (map.layer === layer ? [number] : []));

function showMap(number) {
  currentMap = number;
  const map = data.maps[number];
  part("stage").setAttribute("aria-label", `${map.title} map of ${map.images.length} test images, ${map.layer}`);
  mark(part("layers"), layers.indexOf(map.layer));
  showMethods(map);
  const trust = document.querySelector(`template[data-layer="${CSS.escape(map.layer)}"][data-method="${CSS.escape(map.method)}"]`);
  part("trust").replaceChildren(...(trust ? [trust.content.cloneNode(true)] : []));
  plot.setPoints(map);
  colourBy(byCluster);
  showCard(null);
  showClasses();
  filterChanged();
  markNeighbors();
}

// a group of buttons of which one is chosen, by the mouse or by the arrows
function radios(group, names, choose) {
  group.replaceChildren(...names.map((name, place) => {
    const button = element("button", { type: "button", role: "radio" }, name);
    button.addEventListener("click", () => choose(place));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (place + step + names.length) % names.length;
      choose(next);
      group.children[next].focus();
    });
    return button;
  }));
}

function mark(group, chosen) {
  for (const [place, button] of [...group.children].entries()) {
    button.ariaChecked = String(place === chosen);
    button.tabIndex = place === chosen ? 0 : -1;
  }
}

// another layer by the same method, where it has such a map
function showLayer(layer) {
  const { method } = data.maps[currentMap];
  const numbers = mapsOf(layer);
  showMap(numbers.find((number) => data.maps[number].method === method) ?? numbers[0]);
}

function showMethods(map) {
  const numbers = mapsOf(map.layer);
  const titles = numbers.map((number) => data.maps[number].title);
  const group = part("methods");
  if ([...group.children].map((button) => button.textContent).join("\n") !== titles.join("\n")) {
    radios(group, titles, (place) => showMap(mapsOf(data.maps[currentMap].layer)[place]));
  }
  group.hidden = data.maps.every(({ method }) => method === "tsne");
  mark(group, numbers.indexOf(currentMap));
}

function colourBy(cluster) {
  const there = clusters.has(data.maps[currentMap].layer);
  byCluster = cluster && there;
  part("colours").hidden = !there;
  part("by-class").ariaPressed = String(!byCluster);
  part("by-cluster").ariaPressed = String(byCluster);
  plot.draw();
}

part("by-class").addEventListener("click", () => colourBy(false));
part("by-cluster").addEventListener("click", () => colourBy(true));
radios(part("layers"), layers, (place) => showLayer(layers[place]));

for (const button of document.querySelectorAll("button.cluster")) {
  button.addEventListener("click", () => {
    const { layer, cluster } = button.dataset;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (mapsOf(layer).length && layer !== data.maps[currentMap].layer) showLayer(layer);
    colourBy(true);
    select(data.clusters[layer].images[cluster]);
    document.getElementById("map-root").scrollIntoView({ behavior: still ? "auto" : "smooth" });
  });
}

// the ids of typical images become pictures when they come near the window: a sheet is decoded for them
const nearby = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    const { layer, cluster } = target.dataset;
    const pictures = data.clusters[layer].typical[cluster].filter((image) => thumbnails.has(image)).map((image) => {
      const button = element("button", { type: "button", "aria-label": inWords(image), title: inWords(image) }, thumbnails.canvas(image, ids[image]));
      button.addEventListener("click", () => {
        showNeighbors(image);
        part("neighbors").scrollIntoView({ block: "nearest" });
      });
      return button;
    });
    if (pictures.length) target.replaceChildren(...pictures);
  }
}, { rootMargin: "400px" });
for (const cell of document.querySelectorAll(".typical")) nearby.observe(cell);

for (const [button, lasso] of [[part("pan"), false], [part("lasso"), true]]) {
  button.addEventListener("click", () => {
    plot.lassoing = lasso;
    part("stage").classList.toggle("lasso", lasso);
    part("pan").ariaPressed = String(!lasso);
    part("lasso").ariaPressed = String(lasso);
  });
}
part("in").addEventListener("click", () => plot.zoomBy(1.5));
part("out").addEventListener("click", () => plot.zoomBy(1 / 1.5));
part("reset").addEventListener("click", () => plot.reset());
part("images").addEventListener("change", (event) => {
  plot.showImages = event.target.checked;
  plot.draw();
});
showMap(0);

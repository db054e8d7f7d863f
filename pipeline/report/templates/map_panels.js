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

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

mapButtons(plot);
showMap(0);

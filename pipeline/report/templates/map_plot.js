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

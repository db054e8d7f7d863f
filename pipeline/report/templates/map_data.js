// What stands around the map: layers and methods, classes and clusters, the card under the pointer, neighbors,
// and the selection.

const data = JSON.parse(document.getElementById("map-data").textContent);
const thumbnails = new Thumbnails(data.sprites);
const { ids, present, difficult, colours } = data.images;
const part = (name) => document.getElementById(`map-${name}`);
const labelled = data.classes.length > 0; // whether the images have labels at all
const SELECTED_SHOWN = 60;

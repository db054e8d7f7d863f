// The images that the page has met, numbered as they come: by these numbers the report's pieces know them.

const told = JSON.parse(document.getElementById("store").textContent);
const data = { classes: told.classes, classColours: told.class_colours };
const labelled = data.classes.length > 0;
const classNumber = new Map(data.classes.map((name, number) => [name, number]));
const [ids, splits, present, difficult, colours] = [[], [], [], [], []];
const numbers = new Map();
const part = (name) => document.getElementById(`map-${name}`);
const say = (text) => { part("live").textContent = text; };

// the number of an image; `classes` are the numbers of those that it shows
function met(id, split, classes) {
  const key = `${split}\n${id}`;
  let image = numbers.get(key);
  if (image === undefined) {
    image = ids.push(id) - 1;
    splits.push(split);
    present.push(classes);
    difficult.push([]);
    colours.push(meanColour(classes.map((number) => data.classColours[number])));
    numbers.set(key, image);
  }
  return image;
}

const metByName = ({ id, labels }, split) => met(id, split, labels.map((name) => classNumber.get(name)).filter((number) => number !== undefined));

// the mean in linear light, as the report's colours are made: IEC 61966-2-1
function meanColour(hex) {
  if (!hex.length) return "#9e9e9e";
  if (hex.length === 1) return hex[0];
  const toLinear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const toCode = (v) => (v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055);
  const channel = (at) => {
    const light = hex.map((colour) => toLinear(Number.parseInt(colour.slice(at, at + 2), 16) / 255));
    const code = toCode(light.reduce((sum, value) => sum + value, 0) / light.length);
    return Math.round(255 * code).toString(16).padStart(2, "0");
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}

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

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

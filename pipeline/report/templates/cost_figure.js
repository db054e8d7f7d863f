// Cost against accuracy: the speeds, which a script beside the page tells, and a figure with the line of the best.

const COST_KINDS = {
  network_rate: { name: "images a second, network alone", better: 1 },
  rate: { name: "images a second, from file to file", better: 1 },
  gigabytes: { name: "gigabytes a million images", better: -1 },
};
const COST_EDGE = { left: 44, right: 14, top: 12, bottom: 44 };
const COST_HEIGHT = 360;
const COST_APART = 9; // pixels between points of the same cost

const costData = JSON.parse(document.getElementById("cost-data").textContent);

function inDigits(number) {
  if (number == null) return "–";
  return number >= 100 ? String(Math.round(number)) : String(Number(number.toPrecision(3)));
}

function svgElement(name, attributes, text) {
  const element = document.createElementNS(document.querySelector("#cost-figure svg").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// round numbers between two: on a scale of factors 1, 2, 5, 10, … where at least three fit
function roundNumbers(low, high, factors) {
  const found = [];
  if (factors) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const digit of [1, 2, 5]) found.push(Number((digit * 10 ** power).toPrecision(1)));
    const inside = found.filter((value) => value >= low && value <= high);
    if (inside.length >= 3) return inside.length <= 6 ? inside : inside.filter((value) => /^[0.]*10*$/.test(value));
  }
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((width) => width >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(Number((n * step).toPrecision(6)));
  return ticks;
}

// those that no other beats: better in one of the two, and no worse in the other
function frontOf(points, better) {
  const beats = (a, b) =>
    a.ap >= b.ap && better * a.cost >= better * b.cost && (a.ap > b.ap || better * a.cost > better * b.cost);
  return points.filter((point) => !points.some((other) => beats(other, point))).sort((a, b) => a.cost - b.cost);
}

class CostFigure {
  constructor(figure, rows) {
    [this.plot, this.caption] = [figure.querySelector(".plot"), figure.querySelector("figcaption")];
    this.rows = rows;
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  show(measure, kind) {
    [this.measure, this.kind] = [measure, kind];
    this.draw();
  }

  get points() {
    const known = this.rows.filter((row) => row.costs[this.kind] > 0 && row.ap[this.measure][0] !== null);
    return known.map((row) => {
      const [ap, low, high] = row.ap[this.measure];
      return { name: row.name, cost: row.costs[this.kind], ap, low: low ?? ap, high: high ?? ap };
    });
  }

  draw() {
    const [points, { name, better }, width] = [this.points, COST_KINDS[this.kind], this.plot.clientWidth];
    if (!points.length || !width) return;
    const costs = points.map((point) => point.cost);
    const x = { low: Math.min(...costs) / 1.3, high: Math.max(...costs) * 1.3 };
    const [low, high] = [Math.min(...points.map((p) => p.low)), Math.max(...points.map((p) => p.high))];
    const room = Math.max(0.08 * (high - low), 0.01);
    const y = { low: Math.max(low - room, 0), high: Math.min(high + room, 1) };
    const across = (cost) => COST_EDGE.left + (Math.log(cost / x.low) / Math.log(x.high / x.low)) * (width - COST_EDGE.left - COST_EDGE.right);
    const up = (ap) => COST_HEIGHT - COST_EDGE.bottom - ((ap - y.low) / (y.high - y.low)) * (COST_HEIGHT - COST_EDGE.top - COST_EDGE.bottom);
    const front = frontOf(points, better);
    this.place(points, across, up);
    const told = points.map((p) => `${p.name} ${p.ap.toFixed(3)} at ${inDigits(p.cost)}`).join("; ");
    const drawing = svgElement("svg", { role: "img", width, height: COST_HEIGHT, "aria-label": `mAP by ${this.measure} against ${name}: ${told}` });
    this.axes(drawing, width, x, y, across, up, name);
    drawing.append(this.line(front, better));
    this.plot.replaceChildren(drawing);
    for (const point of points) this.mark(drawing, point, front.includes(point));
    this.label(drawing, points, width);
    const dots = "Filled points are on the line, hollow ones beaten; vertical lines are the 95 % intervals of mAP.";
    this.caption.textContent = `${dots} On the line: ${front.map((point) => point.name).join(", ")}.`;
  }

  // points of one extraction cost the same: they stand side by side
  place(points, across, up) {
    for (const point of points) {
      const same = points.filter((other) => other.cost === point.cost);
      point.x = across(point.cost) + COST_APART * (same.indexOf(point) - (same.length - 1) / 2);
      [point.y, point.top, point.foot] = [up(point.ap), up(point.high), up(point.low)];
    }
  }

  axes(drawing, width, x, y, across, up, name) {
    const foot = COST_HEIGHT - COST_EDGE.bottom;
    for (const value of roundNumbers(y.low, y.high, false)) {
      drawing.append(svgElement("line", { class: "grid", x1: COST_EDGE.left, x2: width - COST_EDGE.right, y1: up(value), y2: up(value) }));
      drawing.append(svgElement("text", { x: COST_EDGE.left - 6, y: up(value) + 4, "text-anchor": "end" }, String(value)));
    }
    for (const value of roundNumbers(x.low, x.high, true)) {
      drawing.append(svgElement("line", { class: "grid", x1: across(value), x2: across(value), y1: COST_EDGE.top, y2: foot }));
      drawing.append(svgElement("text", { x: across(value), y: foot + 16, "text-anchor": "middle" }, String(value)));
    }
    const middle = (COST_EDGE.left + width - COST_EDGE.right) / 2;
    drawing.append(svgElement("text", { x: middle, y: COST_HEIGHT - 8, "text-anchor": "middle" }, `${name} (log scale)`));
    drawing.append(svgElement("text", { class: "name", x: COST_EDGE.left + 4, y: COST_EDGE.top + 10 }, "mAP"));
  }

  // what can be had at a cost: a step from each of the best to the next
  line(front, better) {
    const steps = front.map(({ x, y }, i) => (i === 0 ? `M${x},${y}` : better > 0 ? `V${y}H${x}` : `H${x}V${y}`));
    return svgElement("path", { class: "front", d: steps.join("") });
  }

  mark(drawing, point, best) {
    const group = svgElement("g", { class: best ? "best" : "beaten" });
    group.append(svgElement("title", {}, `${point.name}: mAP ${point.ap.toFixed(3)} (${point.low.toFixed(3)} to ${point.high.toFixed(3)}), ${inDigits(point.cost)}`));
    group.append(svgElement("line", { x1: point.x, x2: point.x, y1: point.top, y2: point.foot }));
    group.append(svgElement("circle", { cx: point.x, cy: point.y, r: 5 }));
    drawing.append(group);
  }

  // beside the point where no other name or point is, else where the least is covered
  label(drawing, points, width) {
    const axis = [COST_EDGE.left, 0, COST_EDGE.left + 36, COST_EDGE.top + 14];
    const taken = [axis].concat(points.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]));
    for (const point of points) {
      const text = svgElement("text", { class: "name" }, point.name.length > 28 ? `${point.name.slice(0, 27)}…` : point.name);
      drawing.append(text);
      const long = text.getComputedTextLength();
      const places = [0, -16, 16, -32, 32].flatMap((dy) => [[10, dy], [-10 - long, dy]]);
      const boxes = places.map(([dx, dy]) => [point.x + dx, point.y + dy - 8, point.x + dx + long, point.y + dy + 6]);
      const covered = ([left, top, right, bottom]) =>
        taken.filter((box) => left < box[2] && right > box[0] && top < box[3] && bottom > box[1]).length +
        10 * (left < COST_EDGE.left || right > width || top < 0 || bottom > COST_HEIGHT - COST_EDGE.bottom);
      const best = boxes.reduce((a, b) => (covered(b) < covered(a) ? b : a));
      taken.push(best);
      text.setAttribute("x", Math.max(2, best[0]));
      text.setAttribute("y", best[3] - 2);
    }
  }
}

function showSpeeds(measured) {
  for (const cell of document.querySelectorAll("td[data-cost]")) {
    const value = measured[cell.dataset.model]?.[cell.dataset.cost];
    cell.textContent = inDigits(value);
    if (value != null) cell.dataset.value = value;
  }
  const body = document.querySelector("#cost-how tbody");
  for (const [model, cost] of Object.entries(measured)) {
    const row = body.insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = model;
    row.append(name);
    const on = cost.machines > 1 ? `${cost.machines} workers, each ${cost.device}` : cost.device;
    for (const text of [on, cost.precision]) row.insertCell().textContent = text;
    for (const number of [cost.batch_size, cost.workers, cost.images, cost.seconds, cost.read, cost.infer, cost.write]) {
      const cell = row.insertCell();
      cell.className = "n";
      cell.textContent = inDigits(number);
    }
    row.insertCell().textContent = { read: "reading", infer: "the network", write: "writing" }[cost.bottleneck];
  }
  document.getElementById("cost-how").hidden = !body.rows.length;
}

function showCosts(measured) {
  const rows = costData.rows.map((row) => ({ ...row, costs: { gigabytes: row.gigabytes, ...measured[row.model] } }));
  const figure = new CostFigure(document.getElementById("cost-figure"), rows);
  const chosen = { measure: document.querySelector("#cost-measures button").dataset.measure, kind: null };
  for (const button of document.querySelectorAll("#cost-kinds button")) {
    button.disabled = !rows.some((row) => row.costs[button.dataset.kind] > 0);
    if (!button.disabled) chosen.kind ??= button.dataset.kind;
  }
  if (chosen.kind === null) return;
  const choose = (what, value) => {
    chosen[what] = value;
    for (const button of document.querySelectorAll(`#cost-bar [data-${what}]`))
      button.ariaPressed = String(button.dataset[what] === value);
    figure.show(chosen.measure, chosen.kind);
  };
  for (const what of ["measure", "kind"])
    for (const button of document.querySelectorAll(`#cost-bar [data-${what}]`))
      button.addEventListener("click", () => choose(what, button.dataset[what]));
  for (const id of ["cost-bar", "cost-figure"]) document.getElementById(id).hidden = false;
  document.getElementById("cost-measures").hidden = document.querySelectorAll("#cost-measures button").length < 2;
  choose("kind", chosen.kind);
}

function tellCosts(measured) {
  document.getElementById("cost-missing").hidden = measured !== null;
  const known = measured ?? {};
  const unknown = [...new Set(costData.rows.map((row) => row.model))].filter((model) => !(model in known));
  if (measured !== null && unknown.length) {
    const note = document.getElementById("cost-unknown");
    note.hidden = false;
    note.textContent = `No speed is known of ${unknown.join(", ")}: where this report was made, no image was put through the network as it is now; the next extraction that computes some measures it.`;
  }
  showSpeeds(known);
  showCosts(known);
}

const speeds = document.createElement("script");
speeds.src = costData.script;
speeds.addEventListener("load", () => tellCosts(globalThis.pool5Costs ?? {}));
speeds.addEventListener("error", () => tellCosts(null));
document.head.append(speeds);

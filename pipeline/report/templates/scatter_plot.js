// A map of images on two canvases: the points, and over them what is pointed at. Knows no classes and no panels.

const REACH = 14; // CSS pixels around a point in which it can be hit
const MOVE_MS = 450;
const MAX_ZOOM = 60;

class ScatterPlot {
  // handlers: hover(point|null, x, y), choose(point), lasso(points), toggle(point), clear(), travel(point)
  constructor(stage, thumbnails, handlers) {
    this.stage = stage;
    this.thumbnails = thumbnails;
    this.handlers = handlers;
    [this.base, this.over] = stage.querySelectorAll("canvas");
    this.points = { images: [], x: [], y: [] };
    this.extent = [1, 1]; // of the points, in the unit square
    this.visible = () => true;
    this.looks = () => ["#888888", false];
    this.view = { zoom: 1, x: 0.5, y: 0.5 }; // the point of the unit square in the middle of the stage
    this.marks = { hovered: null, cursor: null, chosen: null, neighbors: [], selected: new Set() };
    this.lassoing = false;
    this.showImages = false;
    this.stamps = new Map();
    this.pointers = new Map();
    this.pending = 0;
    new ResizeObserver(() => this.resize()).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.stamps.clear(); this.draw(); });
    this.listen();
  }

  // images' places; those that were there before move to their new place
  setPoints(points) {
    const old = new Map(this.points.images.map((image, i) => [image, [this.points.x[i], this.points.y[i]]]));
    this.points = points;
    const range = (values) => Math.max(...values) - Math.min(...values);
    this.extent = [Math.max(range(points.x), 0.1), Math.max(range(points.y), 0.1)];
    this.number = new Map(points.images.map((image, i) => [image, i]));
    this.from = points.images.map((image, i) => old.get(image) ?? [points.x[i], points.y[i]]);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || old.size === 0;
    this.moved = still ? 1 : 0;
    this.started = performance.now();
    this.marks.cursor = this.marks.hovered = null;
    this.draw();
  }

  resize() {
    this.width = this.stage.clientWidth;
    this.height = this.stage.clientHeight;
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.stamps.clear();
    this.paint();
  }

  get scale() {
    const fitting = (side, extent) => Math.max(side - 56, 60) / extent;
    return Math.min(fitting(this.width, this.extent[0]), fitting(this.height, this.extent[1])) * this.view.zoom;
  }

  get radius() {
    const base = Math.min(Math.max(130 / Math.sqrt(this.points.images.length + 1), 2.5), 6);
    return Math.round(Math.min(base * this.view.zoom ** 0.3, 9) * 2) / 2;
  }

  // CSS pixels from the stage's corner
  screen(i) {
    let [x, y] = [this.points.x[i], this.points.y[i]];
    if (this.moved < 1) {
      const eased = 1 - (1 - this.moved) ** 3;
      x = this.from[i][0] + (x - this.from[i][0]) * eased;
      y = this.from[i][1] + (y - this.from[i][1]) * eased;
    }
    return [this.width / 2 + (x - this.view.x) * this.scale, this.height / 2 + (y - this.view.y) * this.scale];
  }

  hit(x, y) {
    let nearest = null;
    let best = REACH ** 2;
    for (let i = 0; i < this.points.images.length; i++) {
      const [px, py] = this.screen(i);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < best && this.visible(this.points.images[i])) [nearest, best] = [i, distance];
    }
    return nearest;
  }

  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const before = this.scale;
    this.view.zoom = Math.min(Math.max(this.view.zoom * factor, 1), MAX_ZOOM);
    const [dx, dy] = [x - this.width / 2, y - this.height / 2];
    this.view.x += dx / before - dx / this.scale;
    this.view.y += dy / before - dy / this.scale;
    this.keepInside();
  }

  panBy(dx, dy) {
    this.view.x -= dx / this.scale;
    this.view.y -= dy / this.scale;
    this.keepInside();
  }

  keepInside() {
    this.view.x = Math.min(Math.max(this.view.x, 0), 1);
    this.view.y = Math.min(Math.max(this.view.y, 0), 1);
    this.draw();
  }

  reset() {
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.draw();
  }

  // move the view just enough that a point is well inside
  bringIntoView(i) {
    const [x, y] = this.screen(i);
    const margin = 40;
    const dx = Math.max(margin - x, 0) + Math.min(this.width - margin - x, 0);
    const dy = Math.max(margin - y, 0) + Math.min(this.height - margin - y, 0);
    if (dx || dy) this.panBy(dx, dy);
  }

  draw() {
    this.pending ||= requestAnimationFrame(() => {
      this.pending = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.width) return;
    if (this.moved < 1) {
      this.moved = Math.min((performance.now() - this.started) / MOVE_MS, 1);
      this.draw();
    }
    const context = this.base.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    const { images } = this.points;
    const shown = images.map((image) => this.visible(image));
    const margin = 20;
    const places = images.map((_, i) => this.screen(i));
    // whole device pixels: copying without resampling is what makes thousands of points smooth
    const ratio = window.devicePixelRatio || 1;
    context.save();
    context.resetTransform();
    // what the filter leaves out stays as a shadow below the rest
    for (const pass of [false, true]) {
      context.globalAlpha = pass ? 1 : 0.16;
      for (let i = 0; i < images.length; i++) {
        const [x, y] = places[i];
        if (shown[i] !== pass || x < -margin || y < -margin || x > this.width + margin || y > this.height + margin) continue;
        const stamp = pass ? this.stamp(...this.looks(images[i])) : this.stamp("#888888", false);
        const half = stamp.width / 2;
        context.drawImage(stamp, Math.round(x * ratio - half), Math.round(y * ratio - half));
      }
    }
    context.restore();
    if (this.showImages) this.paintImages(context, places, shown);
    this.paintMarks();
  }

  // thumbnails in place of points, where there is room for one
  paintImages(context, places, shown) {
    const side = 46;
    const placed = new Map(); // by the cell of a grid as wide as a thumbnail: only nine cells can be in the way
    for (let i = 0; i < places.length; i++) {
      const [x, y] = places[i];
      if (!shown[i] || x < 0 || y < 0 || x > this.width || y > this.height) continue;
      const [column, row] = [Math.floor(x / side), Math.floor(y / side)];
      const free = [-1, 0, 1].every((dx) => [-1, 0, 1].every((dy) => {
        const other = placed.get(`${column + dx},${row + dy}`);
        return !other || Math.abs(other[0] - x) >= side || Math.abs(other[1] - y) >= side;
      }));
      if (!free) continue;
      placed.set(`${column},${row}`, [x, y]);
      const [number, left, top, width, height] = this.thumbnails.place(this.points.images[i]);
      const sheet = this.thumbnails.sheet(number);
      if (!sheet.bitmap) {
        sheet.ready.then(() => this.draw());
        continue;
      }
      const scale = side / Math.max(width, height);
      const [w, h] = [width * scale, height * scale];
      context.drawImage(sheet.bitmap, left, top, width, height, x - w / 2, y - h / 2, w, h);
      context.strokeStyle = this.looks(this.points.images[i])[0];
      context.lineWidth = 2;
      context.strokeRect(x - w / 2, y - h / 2, w, h);
    }
  }

  paintMarks() {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    const style = getComputedStyle(this.stage);
    const [ink, accent, surface] = ["--ink", "--accent", "--surface"].map((name) => style.getPropertyValue(name));
    const ring = (image, radius, colour, width, dashed = false) => {
      const i = this.number?.get(image);
      if (i === undefined) return;
      const [x, y] = this.screen(i);
      for (const [stroke, line] of [[surface, width + 2], [colour, width]]) {
        context.beginPath();
        context.setLineDash(dashed && stroke === colour ? [3, 2] : []);
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.strokeStyle = stroke;
        context.lineWidth = line;
        context.stroke();
      }
    };
    const { hovered, cursor, chosen, neighbors, selected } = this.marks;
    const r = this.radius;
    for (const image of selected) ring(image, r + 2, accent, 1.5);
    const centre = this.number?.get(chosen);
    for (const { image, colour, hit } of neighbors) {
      const i = this.number?.get(image);
      if (i === undefined || centre === undefined) continue;
      context.setLineDash([]);
      context.beginPath();
      context.moveTo(...this.screen(centre));
      context.lineTo(...this.screen(i));
      context.strokeStyle = style.getPropertyValue(colour);
      context.lineWidth = 1;
      context.stroke();
      ring(image, r + 3, style.getPropertyValue(colour), 2, !hit);
    }
    if (chosen !== null) ring(chosen, r + 5, ink, 2.5);
    if (cursor !== null) ring(this.points.images[cursor], r + 8, accent, 2.5);
    if (hovered !== null) ring(this.points.images[hovered], r + 3, ink, 2);
    if (this.polygon) {
      context.setLineDash([5, 4]);
      context.beginPath();
      for (const place of this.polygon) context.lineTo(...place); // the first only sets the start
      context.closePath();
      context.strokeStyle = accent;
      context.lineWidth = 2;
      context.stroke();
      context.globalAlpha = 0.12;
      context.fillStyle = accent;
      context.fill();
      context.globalAlpha = 1;
    }
  }

  // a point drawn once per colour and shape, then copied
  stamp(colour, diamond) {
    const radius = this.radius;
    const key = `${colour} ${diamond} ${radius}`;
    const known = this.stamps.get(key);
    if (known) return known;
    const ratio = window.devicePixelRatio || 1;
    const reach = Math.ceil((1.2 * radius + 1) * ratio);
    const canvas = new OffscreenCanvas(2 * reach, 2 * reach);
    const context = canvas.getContext("2d");
    context.translate(reach, reach);
    context.scale(ratio, ratio);
    context.beginPath();
    if (diamond) {
      const r = radius * 1.2;
      context.moveTo(0, -r);
      context.lineTo(r, 0);
      context.lineTo(0, r);
      context.lineTo(-r, 0);
      context.closePath();
    } else context.arc(0, 0, radius, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    // a thin rim keeps neighbors apart, and dark colours visible on a dark ground
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    context.strokeStyle = dark ? "#ffffff8c" : "#ffffffd9";
    context.lineWidth = dark ? 0.9 : 0.8;
    context.stroke();
    if (this.stamps.size > 4000) this.stamps.clear();
    const stamp = canvas.transferToImageBitmap();
    this.stamps.set(key, stamp);
    return stamp;
  }

  listen() {
    const { stage } = this;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left - stage.clientLeft, event.clientY - box.top - stage.clientTop];
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      this.travelled = this.pointers.size > 1 ? Infinity : 0;
      const lasso = this.pointers.size === 1 && (this.lassoing || event.shiftKey);
      this.polygon = lasso ? [at(event)] : null;
    });
    stage.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      const last = this.pointers.get(event.pointerId);
      if (!last) {
        if (event.pointerType !== "touch") this.hover(this.hit(x, y));
        return;
      }
      this.travelled += Math.abs(x - last[0]) + Math.abs(y - last[1]);
      if (this.pointers.size === 2) {
        const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        const spread = Math.hypot(x - other[0], y - other[1]) / Math.max(Math.hypot(last[0] - other[0], last[1] - other[1]), 1);
        this.zoomBy(spread, (x + other[0]) / 2, (y + other[1]) / 2);
        this.panBy((x - last[0]) / 2, (y - last[1]) / 2);
      } else if (this.polygon) {
        this.polygon.push([x, y]);
        this.draw();
      } else if (this.travelled > 4) {
        stage.classList.add("dragging");
        this.hover(null);
        this.panBy(x - last[0], y - last[1]);
      }
      this.pointers.set(event.pointerId, [x, y]);
    });
    const release = (event) => {
      if (!this.pointers.delete(event.pointerId)) return;
      stage.classList.remove("dragging");
      const [x, y] = at(event);
      const polygon = this.polygon;
      this.polygon = null;
      if (event.type === "pointercancel") return this.draw();
      if (polygon && this.travelled > 10) this.handlers.lasso(this.inside(polygon));
      else if (this.travelled <= 4) {
        const point = this.hit(x, y);
        if (point !== null) this.handlers.choose(point);
      }
      this.draw();
    };
    stage.addEventListener("pointerup", release);
    stage.addEventListener("pointercancel", release);
    stage.addEventListener("pointerleave", () => this.hover(null));
    stage.addEventListener("wheel", (event) => {
      // the page goes on scrolling until the reader has turned to the map
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== stage) return this.handlers.hint();
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), ...at(event));
    }, { passive: false });
    stage.addEventListener("keydown", (event) => this.key(event));
    stage.addEventListener("blur", () => this.hover(null));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (direction && event.shiftKey) this.panBy(-60 * direction[0], -60 * direction[1]);
    else if (direction) this.travel(...direction);
    else if (event.key === "Enter" && this.marks.cursor !== null) this.handlers.choose(this.marks.cursor);
    else if (event.key === " " && this.marks.cursor !== null) this.handlers.toggle(this.marks.cursor);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.4);
    else if (event.key === "-") this.zoomBy(1 / 1.4);
    else if (event.key === "0") this.reset();
    else if (event.key === "Escape") this.handlers.clear();
    else if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
  }

  // to the nearest point in a direction, straight ahead before aside
  travel(dx, dy) {
    const start = this.marks.cursor ?? this.number.get(this.marks.chosen) ?? null;
    let next = null;
    let best = Infinity;
    const [x0, y0] = start === null ? [this.width / 2, this.height / 2] : this.screen(start);
    for (let i = 0; i < this.points.images.length; i++) {
      if (i === start || !this.visible(this.points.images[i])) continue;
      const [x, y] = this.screen(i);
      const ahead = (x - x0) * dx + (y - y0) * dy;
      const aside = Math.abs((x - x0) * dy) + Math.abs((y - y0) * dx);
      if (start !== null && (ahead <= 0 || aside > ahead)) continue;
      const cost = start === null ? Math.hypot(x - x0, y - y0) : ahead + 2 * aside;
      if (cost < best) [next, best] = [i, cost];
    }
    if (next === null) return;
    this.marks.cursor = next;
    this.bringIntoView(next);
    this.handlers.travel(next);
    this.draw();
  }

  hover(point) {
    if (point === this.marks.hovered) return;
    this.marks.hovered = point;
    this.stage.classList.toggle("on-point", point !== null);
    this.handlers.hover(point);
    this.paintMarks();
  }

  // the visible points inside a polygon, by the even-odd rule
  inside(polygon) {
    const found = [];
    for (let i = 0; i < this.points.images.length; i++) {
      if (!this.visible(this.points.images[i])) continue;
      const [x, y] = this.screen(i);
      let odd = false;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
        const [[ax, ay], [bx, by]] = [polygon[a], polygon[b]];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
      }
      if (odd) found.push(i);
    }
    return found;
  }
}

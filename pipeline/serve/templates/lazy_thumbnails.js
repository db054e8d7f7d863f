// Thumbnails that are fetched when they come near the window; they stand where the report has its sprites.

class Thumbnails {
  constructor(source) {
    this.source = source;
    this.sheets = new Map();
  }

  has() {
    return true;
  }

  place(image) {
    const { bitmap } = this.sheet(image);
    return [image, 0, 0, bitmap?.naturalWidth ?? 1, bitmap?.naturalHeight ?? 1];
  }

  // a picture for a canvas: null until it is decoded, and the promise of it
  sheet(image) {
    let sheet = this.sheets.get(image);
    if (!sheet) {
      const picture = new Image();
      sheet = { bitmap: null, ready: new Promise((resolve) => { picture.onload = resolve; }) };
      sheet.ready.then(() => { sheet.bitmap = picture; });
      picture.src = this.source.thumb(ids[image], splits[image], 64);
      this.sheets.set(image, sheet);
    }
    return sheet;
  }

  // what stands around it names it
  canvas(image) {
    const picture = element("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
    picture.addEventListener("error", () => picture.replaceWith("no picture"), { once: true });
    picture.src = this.source.thumb(ids[image], splits[image], 256);
    return picture;
  }
}

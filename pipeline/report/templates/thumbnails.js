// Thumbnails, cut out of the sprite sheets; a sheet is decoded when one of its images is first asked for.

class Thumbnails {
  constructor(sprites) {
    this.sprites = sprites;
    this.sheets = new Map();
  }

  has(image) {
    return image < this.sprites.sizes.length;
  }

  size(image) {
    return this.sprites.sizes[image];
  }

  // where on its sheet the image is: [sheet, left, top, width, height]
  place(image) {
    const { cell, perRow, perSheet } = this.sprites;
    const within = image % perSheet;
    return [Math.floor(image / perSheet), (within % perRow) * cell, Math.floor(within / perRow) * cell, ...this.size(image)];
  }

  // a sheet: its bitmap, null until it is decoded, and the promise of it
  sheet(number) {
    let sheet = this.sheets.get(number);
    if (!sheet) {
      const bytes = Uint8Array.from(atob(document.getElementById(`sprite-${number}`).textContent), (c) => c.charCodeAt(0));
      sheet = { bitmap: null, ready: createImageBitmap(new Blob([bytes], { type: "image/webp" })) };
      sheet.ready.then((bitmap) => { sheet.bitmap = bitmap; });
      this.sheets.set(number, sheet);
    }
    return sheet;
  }

  // a canvas with the image, filled in as soon as its sheet is decoded
  canvas(image, name) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
    const [sheet, left, top, width, height] = this.place(image);
    [canvas.width, canvas.height] = [width, height];
    this.sheet(sheet).ready.then((bitmap) => {
      canvas.getContext("2d").drawImage(bitmap, left, top, width, height, 0, 0, width, height);
      canvas.dataset.drawn = "true";
    });
    return canvas;
  }
}

// The store as plain files, which `pool5 serve --export` wrote beside the page: what serve/export.py says of
// them. No network is asked and nothing is searched here: the lists of the nearest are looked up.

// the file that an image's picture is in: FNV-1a of its id, 64 bits (Fowler, Noll and Vo)
function pictureName(id) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(id)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash.toString(16).padStart(16, "0");
}

// the first place whose value `passes`, where all after it do as well
function firstPlace(count, passes) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (passes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

class Source {
  constructor(store) {
    this.store = store;
    this.files = store.files;
    this.splits = store.splits.map(({ name }) => name);
    this.read = new Map();
    this.homes = new Map(); // the split of an image that was asked for and is not in the one that is searched
  }

  async neighbors({ id, text, minus, image }, layer, { k, class: classes = [], split, metric, signal }) {
    const found = split || this.store.split;
    if (id.length !== 1 || text?.length || minus?.length || image) {
      throw new Refusal("This page is a copy in files: it knows what is near each single image, and has no network and no search. For words, several images or a picture of your own, run pool5 serve where the store is.", null);
    }
    if (metric && metric !== this.store.metric) {
      throw new Refusal(`This page is a copy in files, with distances by ${this.store.metric} alone; for others, run pool5 serve where the store is.`, null);
    }
    const own = this.files.layers[layer];
    if (!own?.splits[found]) throw new Refusal(`${layer} is not stored of split ${found}.`, null);
    const [asking, row] = await this.find(id[0], found);
    const depth = own.depths[asking]?.[found];
    if (depth === undefined) throw new Refusal(`${layer} is not stored of split ${asking}, which ${id[0]} is in.`, null);
    const { searched, pairs, digest } = own.splits[found];
    const [lists, apart, shown] = await Promise.all([
      this.lists(layer, asking, found, row, depth),
      this.bytes(`pairs/${this.number(layer)}-${this.splits.indexOf(found)}.bin`),
      this.showing(found, classes),
    ]);
    const near = lists.filter(([other]) => other >= 0 && (!classes.length || shown.has(other)));
    if (!near.length && lists.every(([other]) => other < 0)) throw new Refusal(`${layer} has no row of ${id[0]}.`, null);
    const images = await this.imagesAt(found, near.slice(0, k).map(([other]) => other));
    signal?.throwIfAborted();
    const distances = new Float32Array(apart);
    const asNear = (distance) => (pairs ? firstPlace(pairs, (place) => distances[place] > distance) / pairs : null);
    return {
      state: this.store.state,
      layer,
      split: found,
      metric: this.store.metric,
      k: images.length,
      question: { text: id[0], terms: [{ what: id[0], kind: "id", minus: false }] },
      searched: searched - (asking === found ? 1 : 0),
      pairs,
      layer_digest: digest,
      neighbors: images.map((image, place) => ({ rank: place + 1, ...image, distance: near[place][1], as_near: asNear(near[place][1]) })),
      note: near.length < k ? this.shortage(near.length, depth, classes) : "",
    };
  }

  async images({ class: classes = [], split, prefix = "", limit = 100, offset = 0, signal }) {
    const own = split || this.store.split;
    const shown = classes.length ? await this.showing(own, classes) : null;
    let [low, high] = [0, this.splitFiles(own).images];
    if (prefix) {
      [low, high] = await Promise.all([
        this.place(own, (id) => id >= prefix),
        this.place(own, (id) => id > prefix && !id.startsWith(prefix)),
      ]);
    }
    if (shown) {
      const rows = prefix ? (await this.rowsBetween(own, low, high)).filter((row) => shown.has(row)) : [...shown].sort((a, b) => a - b);
      return this.listed(own, rows.slice(offset, offset + limit), rows.length, signal);
    }
    const [start, end] = [Math.min(low + offset, high), Math.min(low + offset + limit, high)];
    const rows = prefix ? await this.rowsBetween(own, start, end) : Array.from({ length: end - start }, (_, n) => start + n);
    return this.listed(own, rows, high - low, signal);
  }

  async listed(split, rows, total, signal) {
    const images = await this.imagesAt(split, rows);
    signal?.throwIfAborted();
    return { state: this.store.state, split, total, images };
  }

  map(layer, method) {
    const maps = this.store.layers[this.number(layer)].maps;
    return this.json(`maps/${this.number(layer)}-${maps.findIndex((map) => map.method === method)}.json`);
  }

  thumb(id, split) {
    const own = split || this.store.split;
    const name = pictureName(id);
    const home = this.splits.indexOf(this.homes.get(`${own}\n${id}`) ?? own);
    return `${this.files.folder}/pictures/${home}/${name.slice(0, 2)}/${name}.webp`;
  }

  image(id, split) {
    return this.thumb(id, split);
  }

  number(layer) {
    return this.store.layers.findIndex((own) => own.layer === layer);
  }

  splitFiles(split) {
    if (!this.files.splits[split]) throw new Refusal(`There is no split ${split}; there are ${this.splits.join(", ")}.`, null);
    return this.files.splits[split];
  }

  shortage(count, depth, classes) {
    const shown = classes.length ? `, of which ${count} show ${classes.join(" or ")}` : "";
    return `This copy holds the ${depth} nearest of each image${shown}.`;
  }

  // the split and row of an image: of the split that is searched, else of the first other that has it
  async find(id, split) {
    for (const own of [split, ...this.splits.filter((other) => other !== split)]) {
      const place = await this.place(own, (other) => other >= id);
      if (place === this.splitFiles(own).images) continue;
      const size = this.files.rows_a_file;
      const [name, row] = (await this.ids(own, Math.floor(place / size)))[place % size];
      if (name !== id) continue;
      this.homes.set(`${split}\n${id}`, own);
      return [own, row];
    }
    throw new Refusal(`There is no image ${id} here; ids are completed as you type.`, null);
  }

  // how many of a split's ids, in order, come before the first that passes
  async place(split, passes) {
    const { images, first_ids: firstIds } = this.splitFiles(split);
    const chunk = firstPlace(firstIds.length, (n) => passes(firstIds[n])) - 1; // the last that begins before it
    if (chunk < 0) return 0;
    const ids = await this.ids(split, chunk);
    return Math.min(chunk * this.files.rows_a_file + firstPlace(ids.length, (n) => passes(ids[n][0])), images);
  }

  // the rows of the ids between two places of their order
  async rowsBetween(split, low, high) {
    const size = this.files.rows_a_file;
    const first = Math.floor(low / size);
    const count = low < high ? Math.ceil(high / size) - first : 0;
    const parts = await Promise.all(Array.from({ length: count }, (_, n) => this.ids(split, first + n)));
    return parts.flat().slice(low - first * size, high - first * size).map(([, row]) => row);
  }

  // some of a split's ids in their order, each with its row
  ids(split, number) {
    return this.json(`ids/${this.splits.indexOf(split)}/${number}.json`);
  }

  // the rows of a split that show any of the classes
  async showing(split, classes) {
    const numbers = classes.map((name) => this.store.classes.indexOf(name));
    if (numbers.includes(-1)) throw new Refusal(`There is no class ${classes[numbers.indexOf(-1)]}.`, null);
    const rows = await Promise.all(numbers.map((n) => this.json(`classes/${this.splits.indexOf(split)}/${n}.json`)));
    return new Set(rows.flat());
  }

  // the ids and labels of some rows
  async imagesAt(split, rows) {
    const size = this.files.rows_a_file;
    return Promise.all(rows.map(async (row) => {
      const [id, labels] = (await this.json(`images/${this.splits.indexOf(split)}/${Math.floor(row / size)}.json`))[row % size];
      return { id, labels: labels.map((n) => this.store.classes[n]) };
    }));
  }

  // the nearest of a row: pairs of row and distance; a row of -1 is none
  async lists(layer, asking, found, row, depth) {
    const size = this.files.lists_a_file;
    const folder = [this.number(layer), this.splits.indexOf(asking), this.splits.indexOf(found)].join("-");
    const data = await this.bytes(`nearest/${folder}/${Math.floor(row / size)}.bin`);
    const count = data.byteLength / 8; // an int32 and a float32 each, first all of these, then all of those
    const at = (row % size) * depth;
    const rows = new Int32Array(data, 4 * at, depth);
    const distances = new Float32Array(data, 4 * (count + at), depth);
    return Array.from(rows, (other, place) => [other, distances[place]]);
  }

  json(path) {
    return this.once(path, (answer) => answer.json());
  }

  bytes(path) {
    return this.once(path, (answer) => answer.arrayBuffer());
  }

  // a file, read once; a failure is tried again when it is next asked for
  once(path, taken) {
    if (!this.read.has(path)) {
      const asked = fetch(`${this.files.folder}/${path}`).then((answer) => {
        if (!answer.ok) throw new Refusal(`A file of this copy is not there (${path}, ${answer.status}): it was perhaps replaced; reload the page.`, null);
        return taken(answer);
      });
      asked.catch(() => this.read.delete(path));
      this.read.set(path, asked);
    }
    return this.read.get(path);
  }
}

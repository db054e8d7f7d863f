// Images of one's own: the link has a name, and this browser keeps the bytes under it, so that it can be opened again.

const KEPT = 20;

class OwnImages {
  constructor() {
    this.here = new Map(); // also where the browser keeps nothing
  }

  async store(mode) {
    this.base ??= await new Promise((resolve, reject) => {
      const opening = indexedDB.open("pool5", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("images");
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    return this.base.transaction("images", mode).objectStore("images");
  }

  // keep it, in place of the oldest; its name
  async add(blob) {
    const random = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0"));
    const name = `${Date.now().toString(36)}-${random.join("")}`;
    this.here.set(name, blob);
    try {
      const store = await this.store("readwrite");
      store.put(blob, name);
      const old = await answered(store.getAllKeys());
      for (const key of old.sort().slice(0, -KEPT)) store.delete(key);
    } catch (error) {
      console.info(`the image is kept until the page is closed: ${error}`);
    }
    return name;
  }

  // null for one that another browser keeps
  async get(name) {
    if (!this.here.has(name)) {
      const found = await this.store("readonly").then((store) => answered(store.get(name))).catch(() => null);
      if (found) this.here.set(name, found);
    }
    return this.here.get(name) ?? null;
  }
}

function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

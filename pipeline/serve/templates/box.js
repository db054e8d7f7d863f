// The one box: an id, a class, words, or a link; and images that are pasted, dropped or chosen.

const COMPLETED = 12;
const WAIT = 150; // milliseconds after a key

class Box {
  // change(what of the state is other), open(link of the page), tell(what is wrong)
  constructor(form, source, finder, own, handlers) {
    this.form = form;
    this.input = form.elements.q;
    this.list = document.getElementById("known");
    Object.assign(this, { source, finder, own, handlers });
    this.takesImages = told.layers.some(({ images }) => images);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(event.submitter?.value ?? "ask").catch((error) => this.fail(error));
    });
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.complete(), WAIT);
    });
    if (this.takesImages) this.takeImages();
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, textarea, select")) return;
      event.preventDefault();
      this.input.select();
    });
  }

  fail(error) {
    if (!(error instanceof Refusal)) console.error(error);
    this.handlers.tell(error instanceof Refusal ? error.message : "This could not be asked.");
  }

  async submit(how) {
    const typed = this.input.value.trim();
    if (!typed) return this.handlers.change({});
    const state = this.handlers.state();
    if (/^(https?|data):/i.test(typed)) await this.link(typed, how);
    else this.handlers.change(await this.meaning(typed, how, state));
    this.input.value = "";
  }

  // what something that was typed is: an image, else a class, else words
  async meaning(typed, how, state) {
    const kept = how === "ask" ? NOTHING : {};
    const have = how === "ask" ? NOTHING : state;
    if (how === "minus") return { minus: [...have.minus, typed] };
    if ((await this.finder.find(typed, splitOf(state))) !== null) return { ...kept, id: [...have.id, typed] };
    const named = data.classes.find((name) => name.toLowerCase() === typed.toLowerCase());
    if (named) return { ...kept, classes: [...new Set(how === "ask" ? [named] : [...state.classes, named])] };
    if (told.layers.some(({ words }) => words)) return { ...kept, text: [...have.text, typed] };
    throw new Refusal(`No image and no class is called “${typed}”, and no layer here can be asked in words.`);
  }

  // a link of this page, of one of its images, or of an image elsewhere, if its site lets other pages read it
  async link(address, how) {
    const url = new URL(address);
    const home = new URL(".", location.href);
    if (url.origin === home.origin && url.pathname.startsWith(home.pathname)) {
      const image = url.pathname.slice(home.pathname.length).match(/^api\/images\/(.+?)(\/thumb)?$/);
      if (!image) return this.handlers.open(url.search);
      const id = decodeURIComponent(image[1]);
      const state = this.handlers.state();
      return this.handlers.change(how === "ask" ? { ...NOTHING, id: [id] } : { [how === "plus" ? "id" : "minus"]: [...state[how === "plus" ? "id" : "minus"], id] });
    }
    this.handlers.tell("");
    let blob;
    try {
      blob = url.protocol === "data:" ? decoded(address) : await (await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" })).blob();
    } catch {
      throw new Refusal(`${url.host || "This link"} does not let other pages read its images; save the image and drop it here.`);
    }
    return this.image(blob, how);
  }

  async image(blob, how = "ask") {
    if (!this.takesImages) throw new Refusal("No layer here can be asked with an image of your own.");
    if (!blob.type.startsWith("image/")) throw new Refusal(`That is ${blob.type || "something"}, not an image.`);
    if (how === "minus") throw new Refusal("An image of your own can be added, not taken away.");
    if (blob.size > told.limits.body_bytes) throw new Refusal(`The image has ${(blob.size / 1e6).toFixed(1)} MB; ${(told.limits.body_bytes / 1e6).toFixed(0)} are allowed.`);
    const image = await this.own.add(blob);
    return this.handlers.change(how === "ask" ? { ...NOTHING, image } : { image });
  }

  takeImages() {
    const [choose, file] = [document.getElementById("choose"), document.getElementById("file")];
    const take = (files) => this.image(files[0]).catch((error) => this.fail(error));
    choose.hidden = false;
    choose.addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      if (file.files.length) take(file.files);
      file.value = "";
    });
    document.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      take(event.clipboardData.files);
    });
    const dropping = (there) => document.body.classList.toggle("dropping", there);
    const carries = (event) => ["Files", "text/uri-list"].some((type) => event.dataTransfer.types.includes(type));
    document.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      dropping(true);
    });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(false); });
    document.addEventListener("drop", (event) => {
      dropping(false);
      if (!carries(event)) return;
      event.preventDefault();
      if (event.dataTransfer.files.length) take(event.dataTransfer.files);
      else this.link(event.dataTransfer.getData("text/uri-list").split("\n")[0].trim(), "ask").catch((error) => this.fail(error));
    });
  }

  async complete() {
    const prefix = this.input.value.trim();
    const { split } = this.handlers.state();
    const found = prefix ? await this.source.images({ prefix, split, limit: COMPLETED }).catch(() => null) : null;
    if (this.input.value.trim() !== prefix) return;
    const named = data.classes.map((name) => element("option", { value: name }, "class"));
    const images = (found?.images ?? []).map(({ id, labels: own }) => element("option", { value: id }, own.join(", ")));
    this.list.replaceChildren(...images, ...named);
  }
}

// the bytes of a data: link; fetching one is what the page forbids itself
function decoded(address) {
  const [, type, base64, body] = address.match(/^data:([^;,]*)[^,]*?(;base64)?,(.*)$/s);
  const text = base64 ? atob(body) : decodeURIComponent(body);
  return new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], { type });
}

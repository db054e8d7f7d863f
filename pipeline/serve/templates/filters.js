// Layers, classes, split, distance and number: the form's own fields, kept as the state has them.

class Filters {
  // change(what of the state is other)
  constructor(form, change) {
    this.form = form;
    form.addEventListener("change", (event) => {
      const { name, type } = event.target;
      if (name === "of" && this.checked("of").length > LAYERS) {
        event.target.checked = false;
        say(`At most ${LAYERS} layers are asked at once.`);
      } else if (type === "checkbox" && (name === "of" || name === "class")) change({ [name === "of" ? "of" : "classes"]: this.checked(name) });
      else if (name === "split" || name === "metric") change({ [name]: event.target.value });
      else if (name === "k" && event.target.reportValidity()) change({ k: event.target.valueAsNumber });
    });
  }

  checked(name) {
    return [...this.form.querySelectorAll(`input[name="${name}"]:checked`)].map(({ value }) => value);
  }

  show(state) {
    const chosen = { of: state.of, class: state.classes };
    for (const input of this.form.querySelectorAll("input[type=checkbox]")) input.checked = chosen[input.name]?.includes(input.value) ?? false;
    this.form.elements.split.value = state.split === told.split ? "" : state.split;
    this.form.elements.metric.value = state.metric === told.metric ? "" : state.metric;
    this.form.elements.k.value = state.k;
    const asked = layersOf(state).length;
    document.getElementById("told-layers").textContent = state.of.length ? `: ${state.of.join(", ")}` : `: the first ${asked === 1 ? "one" : asked}`;
    const classes = document.getElementById("told-classes");
    if (classes) classes.textContent = state.classes.length ? `: ${state.classes.map(brief).join(", ")}` : ": all";
  }
}

// a group of buttons of which one is chosen, by the mouse or by the arrows
function radios(group, names, choose) {
  group.replaceChildren(...names.map((name, place) => {
    const button = element("button", { type: "button", role: "radio" }, name);
    button.addEventListener("click", () => choose(place));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (place + step + names.length) % names.length;
      choose(next);
      group.children[next].focus();
    });
    return button;
  }));
}

function mark(group, chosen) {
  for (const [place, button] of [...group.children].entries()) {
    button.ariaChecked = String(place === chosen);
    button.tabIndex = place === chosen ? 0 : -1;
  }
}

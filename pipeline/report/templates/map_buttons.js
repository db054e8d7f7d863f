// what a map's buttons do: dragging or a lasso, nearer and further, pictures or dots
function mapButtons(plot) {
  for (const [button, lasso] of [[part("pan"), false], [part("lasso"), true]]) {
    button.addEventListener("click", () => {
      plot.lassoing = lasso;
      part("stage").classList.toggle("lasso", lasso);
      part("pan").ariaPressed = String(!lasso);
      part("lasso").ariaPressed = String(lasso);
    });
  }
  part("in").addEventListener("click", () => plot.zoomBy(1.5));
  part("out").addEventListener("click", () => plot.zoomBy(1 / 1.5));
  part("reset").addEventListener("click", () => plot.reset());
  part("images").addEventListener("change", (event) => {
    plot.showImages = event.target.checked;
    plot.draw();
  });
}

// A sheet that was shrunk to fit grows to its own size when it is chosen, and back.

for (const paper of document.querySelectorAll(".sheet .paper")) {
  const turn = () => paper.classList.toggle("grown");
  paper.addEventListener("click", turn);
  paper.addEventListener("keydown", (event) => {
    if (event.key === "Enter") turn();
  });
}

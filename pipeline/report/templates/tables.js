// Tables that sort by the column whose heading is chosen, and buttons that show one of several tables.

function numberOrText(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text.replace("−", "-"));
  return text !== "" && Number.isFinite(number) ? number : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return 1;
  if (typeof b === "number") return -1;
  return a.localeCompare(b);
}

function sortTable(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const numeric = rows.some((row) => typeof numberOrText(row, column) === "number");
  const before = headings[column].ariaSort;
  // numbers start with the highest, words with A
  const ascending = before === null ? !numeric : before === "descending";
  rows.sort((a, b) => {
    const [first, second] = [numberOrText(a, column), numberOrText(b, column)];
    // a cell without a number stays below, whichever way
    if (numeric && typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
    return (ascending ? 1 : -1) * compare(first, second);
  });
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].ariaSort = ascending ? "ascending" : "descending";
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => sortTable(table, button.closest("th").cellIndex));
  }
}

for (const group of document.querySelectorAll("[data-switches]")) {
  const buttons = [...group.querySelectorAll("button")];
  const show = (chosen) => {
    for (const button of buttons) {
      button.ariaPressed = String(button === chosen);
      document.getElementById(button.dataset.shows).hidden = button !== chosen;
    }
  };
  for (const button of buttons) button.addEventListener("click", () => show(button));
  show(buttons[0]);
}

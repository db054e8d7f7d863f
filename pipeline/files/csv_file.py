"""CSV as other programs read it: commas, line feeds, quotes where they are needed."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .atomic import write_text

_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet would run, be it behind quotes of ours


def csv_text(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, delimiter: str = ",", exact: bool = False
) -> str:
    """A header and its rows; None is an empty cell.

    A name that a spreadsheet would take for a formula (`=1+1`, `@cat`) has a `'` before it, unless `exact`:
    for files that programs read and people do not open. Numbers stay what they are.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    for row in itertools.chain([columns], rows):
        writer.writerow(row if exact else [_no_formula(cell) for cell in row])
    return text.getvalue()


def write_csv(
    path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, exact: bool = False
) -> None:
    """Write `csv_text(columns, rows, exact=exact)`, whole or not at all."""
    write_text(path, csv_text(columns, rows, exact=exact))


def decimals(value: float | None) -> str | None:
    """A number with six decimals, as the tables have them."""
    return None if value is None else f"{value:.6f}"


def joined(names: Iterable[str]) -> str:
    r"""Several names in one cell, `|` between them; a `|` or a backslash in a name follows a backslash."""
    return "|".join(name.replace("\\", "\\\\").replace("|", "\\|") for name in names)


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell

"""CSV as other programs read it: commas, line feeds, quotes where they are needed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .atomic import write_text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, delimiter: str = ",") -> str:
    """A header and its rows; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write `csv_text(columns, rows)`, whole or not at all."""
    write_text(path, csv_text(columns, rows))


def decimals(value: float | None) -> str | None:
    """A number with six decimals, as the tables have them."""
    return None if value is None else f"{value:.6f}"


def joined(names: Iterable[str]) -> str:
    r"""Several names in one cell, `|` between them; a `|` or a backslash in a name follows a backslash."""
    return "|".join(name.replace("\\", "\\\\").replace("|", "\\|") for name in names)

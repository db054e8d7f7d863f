"""The tables of average precision and of its differences, as the page shows them."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

MEAN = "mAP"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval; None where there is none."""

    value: float | None
    lo: float | None
    hi: float | None
    best: bool = False

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out zero, else 0."""
        if self.lo is None or self.hi is None:
            return 0
        return int(self.lo > 0) - int(self.hi < 0)


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class, or the mean over classes, with one estimate a column; None where the run has none."""

    name: str
    positives: int | None
    chance: float | None
    cells: tuple[Estimate | None, ...]


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """One protocol's table: a row a class, a column a model or a pair of models."""

    protocol: str
    columns: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    mean: ClassRow | None


def precision_tables(path: Path) -> tuple[ClassTable, ...]:
    """Average precision by class and model, a table a protocol, from reports/ap/ap.csv."""
    return _tables(read_rows(path), "ap", lambda row: row["model"], mark_best=True)


def difference_tables(path: Path) -> tuple[ClassTable, ...]:
    """Differences in average precision by class and pair of models, from reports/ap/differences.csv."""
    return _tables(read_rows(path), "difference", lambda row: f"{row['model']} − {row['baseline']}")


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none where the file is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str | None) -> float | None:
    """The number that a CSV cell holds; None for an empty one."""
    return float(text) if text and text.lower() != "nan" else None


def _tables(rows, value, column_of, mark_best=False) -> tuple[ClassTable, ...]:
    tables = []
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        own = [row for row in rows if row["protocol"] == protocol]
        columns = tuple(dict.fromkeys(column_of(row) for row in own))
        body = []
        for name in dict.fromkeys(row["class"] for row in own):
            by_column = {column_of(row): row for row in own if row["class"] == name}
            body.append(_class_row(name, columns, by_column, value, mark_best))
        mean = next((row for row in body if row.name == MEAN), None)
        tables.append(ClassTable(protocol, columns, tuple(r for r in body if r.name != MEAN), mean))
    return tuple(tables)


def _class_row(
    name: str, columns: Sequence[str], by_column: Mapping[str, Mapping[str, str]], value: str, mark_best: bool
) -> ClassRow:
    cells = [
        Estimate(number(row[value]), number(row["lo"]), number(row["hi"])) if row else None
        for row in (by_column.get(column) for column in columns)
    ]
    values = [cell.value for cell in cells if cell and cell.value is not None]
    if mark_best and len(values) > 1:
        cells = [cell and dataclasses.replace(cell, best=cell.value == max(values)) for cell in cells]
    first = next(iter(by_column.values()))
    positives = number(first.get("positives"))
    return ClassRow(
        name, None if positives is None else int(positives), number(first.get("chance")), tuple(cells)
    )

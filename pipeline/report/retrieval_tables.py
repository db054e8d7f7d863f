"""The retrieval measures, as the page shows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from .precision_tables import Estimate, number, read_rows


@dataclasses.dataclass(frozen=True)
class QueryRow:
    """One representation's measures over a group of queries; or one class's, a cell a representation."""

    name: str
    queries: int
    chance: float | None
    cells: tuple[Estimate | None, ...]


@dataclasses.dataclass(frozen=True)
class GroupTable:
    """The measures over one group of queries, and what each would be by chance."""

    group: str
    measures: tuple[str, ...]
    chance: tuple[float | None, ...]
    rows: tuple[QueryRow, ...]


@dataclasses.dataclass(frozen=True)
class ClassQueries:
    """One measure over the queries of each class, a column a representation."""

    measure: str
    columns: tuple[str, ...]
    rows: tuple[QueryRow, ...]


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """What reports/neighbors/retrieval.csv holds: groups that cut across the classes, and the classes."""

    groups: tuple[GroupTable, ...]
    classes: ClassQueries | None


def read_retrieval(path: Path, classes: Sequence[str]) -> Retrieval | None:
    """Read retrieval.csv; None where the stage has not run."""
    rows = read_rows(path)
    if not rows:
        return None
    cells = {(row["group"], row["representation"], row["measure"]): row for row in rows}
    groups, names, measures = (tuple(dict.fromkeys(key[i] for key in cells)) for i in range(3))
    return Retrieval(
        tuple(_group_table(group, names, measures, cells) for group in groups if group not in classes),
        _class_table([group for group in groups if group in classes], names, measures[0], cells),
    )


_Cells = Mapping[tuple[str, str, str], Mapping[str, str]]


def _group_table(group: str, names: Sequence[str], measures: Sequence[str], cells: _Cells) -> GroupTable:
    columns = [_column([cells.get((group, name, measure)) for name in names]) for measure in measures]
    first = [next((cells[group, n, m] for n in names if (group, n, m) in cells), None) for m in measures]
    return GroupTable(
        group,
        tuple(measures),
        tuple(number(row["chance"]) if row else None for row in first),
        tuple(
            QueryRow(name, _queries(group, [name], measures, cells), None, tuple(c[i] for c in columns))
            for i, name in enumerate(names)
        ),
    )


def _class_table(
    groups: Sequence[str], names: Sequence[str], measure: str, cells: _Cells
) -> ClassQueries | None:
    rows = []
    for group in groups:
        own = [cells.get((group, name, measure)) for name in names]
        chance = next((number(row["chance"]) for row in own if row), None)
        queries = _queries(group, names, [measure], cells)
        rows.append(QueryRow(group, queries, chance, tuple(_column(own))))
    return ClassQueries(measure, tuple(names), tuple(rows)) if rows else None


def _column(rows: Sequence[Mapping[str, str] | None]) -> list[Estimate | None]:
    """The estimates of rows that compare with each other, the highest marked."""
    values = [number(row["value"]) if row else None for row in rows]
    there = [value for value in values if value is not None]
    return [
        Estimate(value, number(row["lo"]), number(row["hi"]), len(there) > 1 and value == max(there))
        if row
        else None
        for row, value in zip(rows, values, strict=True)
    ]


def _queries(group: str, names: Sequence[str], measures: Sequence[str], cells: _Cells) -> int:
    counts = [int(cells[group, n, m]["queries"]) for n in names for m in measures if (group, n, m) in cells]
    return max(counts, default=0)

"""The retrieval measures and the neighbour lists, as the page shows them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pipeline.report.precision_tables import Estimate, number, read_rows


@dataclasses.dataclass(frozen=True)
class GroupRow:
    """One representation's measures over one group of queries."""

    representation: str
    queries: int
    cells: tuple[Estimate | None, ...]


@dataclasses.dataclass(frozen=True)
class GroupTable:
    """The measures over one group of queries, and what each would be by chance."""

    group: str
    measures: tuple[str, ...]
    chance: tuple[float | None, ...]
    rows: tuple[GroupRow, ...]


def retrieval_tables(path: Path) -> tuple[GroupTable, ...]:
    """A table a group of queries, from reports/neighbors/retrieval.csv, in the file's order."""
    rows = read_rows(path)
    tables = []
    for group in dict.fromkeys(row["group"] for row in rows):
        own = {(r["representation"], r["measure"]): r for r in rows if r["group"] == group}
        measures = tuple(dict.fromkeys(measure for _, measure in own))
        names = tuple(dict.fromkeys(name for name, _ in own))
        best = {m: max(number(own[n, m]["value"]) or 0 for n in names if (n, m) in own) for m in measures}
        tables.append(
            GroupTable(
                group,
                measures,
                tuple(
                    next(number(r["chance"]) for (_, m), r in own.items() if m == wanted)
                    for wanted in measures
                ),
                tuple(_row(name, measures, own, best if len(names) > 1 else {}) for name in names),
            )
        )
    return tuple(tables)


def _row(name, measures, own, best) -> GroupRow:
    cells = []
    for measure in measures:
        row = own.get((name, measure))
        value = number(row["value"]) if row else None
        cells.append(
            Estimate(
                value, number(row["lo"]), number(row["hi"]), value is not None and value == best.get(measure)
            )
            if row
            else None
        )
    queries = max(int(float(row["queries"])) for (n, _), row in own.items() if n == name)
    return GroupRow(name, queries, tuple(cells))

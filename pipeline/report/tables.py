"""Records laid out as tables: which part stands in which row and column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from ..results.ap import ApDifference, ApResult, ApRow
from ..results.few_shot import FewShotResult, FewShotRow
from ..results.record import Part
from ..results.retrieval import MeasuredGroup, RetrievalResult

P = TypeVar("P", bound=Part)


@dataclasses.dataclass(frozen=True)
class Table(Generic[P]):
    """Parts of a record by row and column; None where there is none for both.

    Attributes
    ----------
    title : str
        What all its parts have in common: a measure, a group of queries.
    columns : tuple of str
    rows : {row: a part a column}
        The mean over classes is the row None.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str | None, tuple[P | None, ...]]

    def column(self, number: int) -> list[P | None]:
        """The parts of a column."""
        return [cells[number] for cells in self.rows.values()]


def precision_tables(result: ApResult) -> tuple[Table[ApRow], ...]:
    """A table a measure: the classes and their mean by the models."""
    return _tables(result.rows, lambda row: (row.measure, row.class_name, row.model))


def difference_tables(result: ApResult) -> tuple[Table[ApDifference], ...]:
    """A table a measure: the classes and their mean by the pairs of models."""
    return _tables(
        result.differences, lambda row: (row.measure, row.class_name, f"{row.model} − {row.baseline}")
    )


def few_shot_tables(results: Sequence[FewShotResult]) -> tuple[Table[FewShotRow], ...]:
    """A table a measure: the probes' means by the number of examples, whichever probe has which."""
    numbers = [*sorted({n for result in results for n in result.shots}), None]
    tables = []
    for measure in dict.fromkeys(measure for result in results for measure in result.measures):
        means = {r.probe: {row.shots: row for row in r.by_class(measure)[None]} for r in results}
        rows: dict[str | None, tuple[FewShotRow | None, ...]]
        rows = {probe: tuple(cells.get(n) for n in numbers) for probe, cells in means.items()}
        tables.append(Table(measure, tuple(str(n or "all") for n in numbers), rows))
    return tuple(tables)


def few_shot_classes(result: FewShotResult) -> tuple[Table[FewShotRow], ...]:
    """A table a measure: the classes and their mean by the number of examples."""
    return _tables(result.rows, lambda row: (row.measure, row.class_name, str(row.shots or "all")))


def group_tables(result: RetrievalResult) -> tuple[Table[MeasuredGroup], ...]:
    """A table a group of queries that cuts across the classes: the layers by the measures."""
    rows = [row for row in result.groups if not row.is_class]
    return _tables(rows, lambda row: (row.group, row.layer, row.measure))


def class_table(result: RetrievalResult) -> Table[MeasuredGroup] | None:
    """The first measure alone: the classes of the queries by the layers; None where there are no classes."""
    rows = [row for row in result.groups if row.is_class]
    tables = _tables(rows, lambda row: (row.measure, row.group, row.layer))
    return tables[0] if tables else None


def best(cells: Iterable[Part | None], field: str) -> float | None:
    """The highest value of a field; None where fewer than two can be compared."""
    values = [getattr(cell, field) for cell in cells if cell is not None]
    known = [value for value in values if value is not None]
    return max(known) if len(known) > 1 else None


def first(cells: Iterable[P | None]) -> P:
    """The first part of a row or column, for what all of them say alike."""
    return next(cell for cell in cells if cell is not None)


def map_by_lot(images: int, neighbors: int) -> tuple[float, float]:
    """The trustworthiness, and the share of neighbors kept, of points placed by lot, as expected."""
    n, k = images, neighbors
    return 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1)), k / (n - 1)


def _tables(parts: Iterable[P], place: Callable[[P], tuple[str, str | None, str]]) -> tuple[Table[P], ...]:
    """Lay out `parts` by what `place` gives of each: its table, row and column, in the order they come."""
    found: dict[str, dict[tuple[str | None, str], P]] = {}
    for part in parts:
        title, row, column = place(part)
        found.setdefault(title, {})[row, column] = part
    return tuple(_table(title, cells) for title, cells in found.items())


def _table(title: str, cells: dict[tuple[str | None, str], P]) -> Table[P]:
    columns = tuple(dict.fromkeys(column for _, column in cells))
    rows = {row: tuple(cells.get((row, column)) for column in columns) for row, _ in cells}
    return Table(title, columns, rows)

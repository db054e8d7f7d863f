"""What the stage `retrieval` finds: the same queries in every layer, and retrieval measures over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .record import Part, Record


class Near(Part, frozen=True):
    """A neighbor of a query: its rank from 1, id, distance, and the classes it shows."""

    rank: int
    id: str
    distance: float
    labels: tuple[str, ...]


class ShownQuery(Part, frozen=True):
    """A query of the sheet.

    Attributes
    ----------
    id : str
    drawn_for : str or None
        The class that it was drawn for; None where the images show no classes.
    labels : tuple of str
    neighbors : {<model>/<layer>: nearest first}
    """

    id: str
    drawn_for: str | None
    labels: tuple[str, ...]
    neighbors: dict[str, tuple[Near, ...]]

    def shares_label(self, labels: Sequence[str]) -> bool:
        """Whether the query shows one of these classes."""
        return not set(self.labels).isdisjoint(labels)


class MeasuredGroup(Part, frozen=True):
    """The mean of a measure over a group of queries, its 95 % interval over the queries, and chance.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    group : str
        `all`, `with person`, `without person`; or a class, if `is_class`.
    is_class : bool
    measure : str
        As the registry of measures writes it: `P@4`, `NDCG@100`.
    value, chance : float
    lo, hi : float or None
    queries : int
    """

    layer: str
    group: str
    is_class: bool
    measure: str
    value: float
    lo: float | None
    hi: float | None
    chance: float
    queries: int


class RetrievalResult(Record, frozen=True):
    """What each layer finds near the same queries, and how good it is over all of them.

    Attributes
    ----------
    metric : str or None
        Of the distances; None where no layer was asked for.
    layers : tuple of str
        <model>/<layer>, in the order of params.yaml.
    gaps : tuple of str
        What could not be shown or measured, and why.
    """

    stage: ClassVar[str] = "retrieval"

    split: str
    metric: str | None
    layers: tuple[str, ...]
    queries: tuple[ShownQuery, ...] = ()
    groups: tuple[MeasuredGroup, ...] = ()
    gaps: tuple[str, ...] = ()

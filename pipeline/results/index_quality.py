"""What the stage `index` finds of one index: its recall against exact search, setting by setting."""

from __future__ import annotations

from typing import ClassVar

from .record import Part, Record


class OperatingPoint(Part, frozen=True):
    """One setting of an index: what it finds and what it costs.

    Attributes
    ----------
    setting : {parameter: value}
        As `faiss.ParameterSpace` names them, and `shortlist`; empty where there is nothing to set.
    recall : {depth, as text: recall@depth}
        The share of the `depth` nearest that are among the `depth` found.
    compared : float
        Vectors (or their codes, or centroids) compared with a query at depth 10, on average. Unlike a time
        it is the same on every run and every machine.
    on_front : bool
        No other point beats it in both.
    """

    setting: dict[str, int]
    recall: dict[str, float]
    compared: float
    on_front: bool = False

    @property
    def name(self) -> str:
        """The setting in a few words."""
        return " ".join(f"{name}={value}" for name, value in self.setting.items()) or "exact"

    @property
    def main_recall(self) -> float:
        """At depth 10, or at 1 where there are not so many rows."""
        return self.recall.get("10", self.recall["1"])


class IndexQuality(Record, frozen=True):
    """An index and its operating points.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    factory, reason : str
        For `faiss.index_factory`, with ` in Lance` where Lance holds the index; and why this one.
    rows : int
        What exact search compares with a query.
    points : tuple of OperatingPoint
    chosen : OperatingPoint or None
        The recommended one.
    gaps : tuple of str
        What could not be measured, and why.
    """

    stage: ClassVar[str] = "index"

    layer: str
    split: str
    factory: str
    reason: str
    rows: int
    bytes_per_vector: float
    points: tuple[OperatingPoint, ...]
    chosen: OperatingPoint | None
    gaps: tuple[str, ...] = ()

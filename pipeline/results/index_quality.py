"""What the stage `index` finds of one index: its recall against exact search, setting by setting."""

from __future__ import annotations

from typing import ClassVar

from .record import Part, Record


class OperatingPoint(Part):
    """One setting: what it finds and what it costs.

    Attributes
    ----------
    setting : {parameter: value}
    recall : {depth, as text: recall@depth}
    compared : float
        Vectors (or their codes, or centroids) compared with a query at depth 10, on average.
    on_front : bool
        No other point beats it in both.
    """

    setting: dict[str, int]
    recall: dict[str, float]
    compared: float
    on_front: bool


class IndexQuality(Record):
    """Attributes: `chosen` is the recommended point; `gaps` says what could not be measured, and why."""

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

"""What the stage `extract` tells of a model: how many rows each split has, and which images gave none."""

from __future__ import annotations

from typing import ClassVar

from .record import Part, Record


class Skipped(Part, frozen=True):
    """An image that gave no pixels, and why."""

    id: str
    reason: str


class ExtractedSplit(Part, frozen=True):
    """The rows of a split's feature file, and the images of its manifest that have none there."""

    rows: int
    skipped: tuple[Skipped, ...] = ()


class ExtractionResult(Record, frozen=True):
    """Attributes: `splits` is {split: ExtractedSplit}."""

    stage: ClassVar[str] = "extract"

    model: str
    splits: dict[str, ExtractedSplit]

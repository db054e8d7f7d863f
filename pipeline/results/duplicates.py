"""What the stage `duplicates` finds: images that a layer can hardly tell apart."""

from __future__ import annotations

from typing import ClassVar

from .record import Part, Record


class DuplicatePair(Part, frozen=True):
    """Two images, their cosine similarity, and whether the files are the same byte by byte."""

    split_a: str
    id_a: str
    split_b: str
    id_b: str
    similarity: float
    identical_bytes: bool


class PairCount(Part, frozen=True):
    """How many pairs are listed within a split (the same name twice) or between two."""

    split_a: str
    split_b: str
    pairs: int
    identical_bytes: int

    @property
    def where(self) -> str:
        """`within train`, `between train and test`."""
        if self.split_a == self.split_b:
            return f"within {self.split_a}"
        return f"between {self.split_a} and {self.split_b}"


class DuplicatesResult(Record, frozen=True):
    """Near-duplicates within the splits and leaks between them.

    Attributes
    ----------
    layer : str or None
        <model>/<layer>; None where params.yaml asks for none.
    pairs : tuple of DuplicatePair
        Most similar first; equally similar ones by split and id.
    gaps : tuple of str
        What is not in the list, and why.
    """

    stage: ClassVar[str] = "duplicates"

    layer: str | None
    threshold: float
    counts: tuple[PairCount, ...] = ()
    pairs: tuple[DuplicatePair, ...] = ()
    gaps: tuple[str, ...] = ()

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


class GroupedImage(Part, frozen=True):
    """An image of a group, and its number of pixels."""

    split: str
    id: str
    pixels: int


class DuplicateGroup(Part, frozen=True):
    """Images that pairs connect.

    Attributes
    ----------
    images : tuple of GroupedImage
        The first is the one to keep: the largest, the first id among equally large ones.
    least_similarity : float
        Of any of them to that one; below the threshold where a chain of pairs leads to it.
    """

    images: tuple[GroupedImage, ...]
    least_similarity: float


class DuplicatesResult(Record, frozen=True):
    """Near-duplicates within the splits and leaks between them.

    Attributes
    ----------
    layer : str or None
        <model>/<layer>; None where params.yaml asks for none.
    pairs : tuple of DuplicatePair
        Most similar first; equally similar ones by split and id.
    groups : tuple of DuplicateGroup
        The connected components of the pairs, the largest first.
    left_out : tuple of str
        The ids of the images of the training split that are near one of the test split.
    redundant : tuple of str
        Those of the others in it of whose group a larger one stays there.
    gaps : tuple of str
        What is not in the list, and why.
    """

    stage: ClassVar[str] = "duplicates"

    layer: str | None
    threshold: float
    counts: tuple[PairCount, ...] = ()
    pairs: tuple[DuplicatePair, ...] = ()
    groups: tuple[DuplicateGroup, ...] = ()
    left_out: tuple[str, ...] = ()
    redundant: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

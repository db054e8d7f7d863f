"""What the stage `compare` finds: how alike the images lie in each two layers."""

from __future__ import annotations

from typing import ClassVar

from .record import Part, Record
from .retrieval import Near

DISTANCE = "Procrustes"  # the measure that falls with likeness
LABELS = "labels"  # what stands in the place of a layer where the labels themselves are compared


class ComparedPair(Part, frozen=True):
    """A measure of two layers, its 95 % interval, and what independent layers would have.

    Attributes
    ----------
    first, second : str
        <model>/<layer>; `second` may be `labels`.
    measure : str
        As the registry of measures writes it: `CKA`, `overlap@10`.
    value : float
    lo, hi : float or None
    chance, chance_sd : float
        Mean and standard deviation over permutations of the images of one of the two.
    images : int
        That were compared; all pairs of one measure are of the same.
    """

    first: str
    second: str
    measure: str
    value: float
    lo: float | None
    hi: float | None
    chance: float
    chance_sd: float
    images: int


class Closest(Part, frozen=True):
    """The layer most like another one by a measure, and how sure it is that it is that one.

    Attributes
    ----------
    layer, measure : str
    closest, next : str
        The most alike, and the second.
    ahead : float
        How much more alike the first is; the interval is over the same resamples of the images for both.
    lo, hi : float or None
    """

    layer: str
    measure: str
    closest: str
    next: str
    ahead: float
    lo: float | None
    hi: float | None


class Merge(Part, frozen=True):
    """A fork of the dendrogram: two branches and their mean distance, 1 - CKA.

    A branch below the number of layers is a layer; one above it the merge of that number less these.
    """

    left: int
    right: int
    distance: float


class DifferingImage(Part, frozen=True):
    """An image whose neighbors differ: how many of the k nearest it shares, and the nearest in both."""

    id: str
    labels: tuple[str, ...]
    shared: int
    neighbors: dict[str, tuple[Near, ...]]


class DifferingPair(Part, frozen=True):
    """The images whose neighborhoods differ most between two layers; `sheet` is their picture's name."""

    first: str
    second: str
    sheet: str
    images: tuple[DifferingImage, ...]


class CompareResult(Record, frozen=True):
    """How alike the images lie in each two layers.

    Attributes
    ----------
    images : int
        Of the split.
    metric : str or None
        Of the neighbors; None where nothing was compared.
    layers : tuple of str
        <model>/<layer>, in the order of params.yaml.
    measures : tuple of str
    resamples : int
    tree : tuple of Merge
        Average linkage of 1 - CKA, nearest first; empty for fewer than three layers.
    gaps : tuple of str
    """

    stage: ClassVar[str] = "compare"

    split: str
    images: int
    metric: str | None
    layers: tuple[str, ...]
    measures: tuple[str, ...] = ()
    resamples: int = 0
    k: int = 0
    pairs: tuple[ComparedPair, ...] = ()
    closest: tuple[Closest, ...] = ()
    tree: tuple[Merge, ...] = ()
    differing: tuple[DifferingPair, ...] = ()
    gaps: tuple[str, ...] = ()

    def pair(self, first: str, second: str, measure: str) -> ComparedPair | None:
        """What a measure says of two layers, in whatever order; None if nothing."""
        wanted = {first, second}
        found = (p for p in self.pairs if p.measure == measure and {p.first, p.second} == wanted)
        return next(found, None)

    @property
    def by_measure(self) -> dict[str, list[ComparedPair]]:
        """The pairs of each measure, the most alike first."""
        found = {m: [pair for pair in self.pairs if pair.measure == m] for m in self.measures}
        sign = {m: 1 if m == DISTANCE else -1 for m in found}
        return {m: sorted(of, key=lambda p: sign[m] * p.value) for m, of in found.items() if of}

    @property
    def order(self) -> tuple[str, ...]:
        """The layers as the leaves of the tree stand, so that alike ones are beside each other."""
        branches: list[tuple[str, ...]] = [(layer,) for layer in self.layers]
        for merge in self.tree:
            branches.append(branches[merge.left] + branches[merge.right])
        return branches[-1] if self.tree else self.layers

"""Measures of retrieval: how well an order of the images finds those that share a label with the query.

Two images are relevant to each other if they share a class (label 1; one with only difficult instances counts
as absent).
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ..labels import Labels
from .at_k import AtK

_BLOCK = 512  # queries at a time, and so many values of them
_VALUES = 1 << 27


@dataclasses.dataclass(frozen=True)
class Queries:
    """A block of B queries among N images.

    Attributes
    ----------
    shared : (B, N) float32
        How many classes an image shares with the query; 0 for the query itself.
    united : (B, N) float32
        How many classes the two show together.
    neighbors : (B, m) int
        Nearest first, without the query.
    asks : (B,) bool
        Whether the query shows a class; what shows none asks for nothing.
    """

    shared: np.ndarray
    united: np.ndarray
    neighbors: np.ndarray
    asks: np.ndarray

    @property
    def others(self) -> int:
        """The images beside the query."""
        return int(self.shared.shape[1]) - 1

    @functools.cached_property
    def relevant(self) -> np.ndarray:
        """How many of the others are relevant, (B,)."""
        return np.asarray((self.shared > 0).sum(axis=1))

    @property
    def answerable(self) -> np.ndarray:
        """Whether any other is relevant, (B,)."""
        return self.asks & (self.relevant > 0)

    def first(self, values: np.ndarray, k: int) -> np.ndarray:
        """Those of `values` (B, N) that belong to the first k neighbors: (B, min(k, m))."""
        return np.take_along_axis(values, self.neighbors[:, :k], axis=1)


@dataclasses.dataclass(frozen=True)
class RetrievalMeasure(AtK, abc.ABC):
    """A measure of the first `k` neighbors of a query; its text is its name, as `P@4`.

    What holds for every measure, and `tests/measures/measure_tests.py` asks of each: a value lies between 0
    and 1, 1 for a perfect order; the order of the images that are not among the neighbors, and the numbering
    of all, change nothing; with fewer than k others, what there is counts. A query without a value has NaN,
    in value and chance alike. Chance is computed, not simulated: the expectation over all orders of the
    others.
    """

    k: int

    def depth(self, total: int) -> int:
        """How many neighbors of each of `total` images it needs."""
        return min(self.k, total - 1)

    @abc.abstractmethod
    def of_queries(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """The value of every query and what chance gives it: two (B,) float64 arrays."""


def measure_queries(
    labels: Labels | np.ndarray, neighbors: np.ndarray, measures: Sequence[RetrievalMeasure]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every measure of every image as a query against the others.

    Parameters
    ----------
    labels : Labels, or (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    neighbors : (N, m) int
        Nearest first, without the query; m is at least the `depth` of every measure.
    measures : sequence of RetrievalMeasure

    Returns
    -------
    {name: (values, chance)}
        (N,) float64 each; NaN where a query has no value: it shows no class, or (for what divides by the
        best that can be found) no other image shares a label with it, or there is no other image.
    """
    present = Labels.taken(labels).present()
    images_of = present.T.tocsr()
    total, sizes = present.shape[0], present.sum(axis=1)
    step = max(1, min(_BLOCK, _VALUES // max(1, total)))
    found = {str(measure): (np.full(total, np.nan), np.full(total, np.nan)) for measure in measures}
    for start in range(0, total if total > 1 else 0, step):
        rows = np.arange(start, min(start + step, total))
        shared = (present[rows] @ images_of).toarray()
        shared[np.arange(len(rows)), rows] = 0
        united = sizes[rows, None] + sizes - shared
        queries = Queries(shared, united, neighbors[rows], sizes[rows] > 0)
        for measure in measures:
            values, chance = found[str(measure)]
            values[rows], chance[rows] = measure.of_queries(queries)
    return found

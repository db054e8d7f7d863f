"""RSA: representational similarity analysis (Kriegeskorte et al. 2008), by rank."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..labels import Labels
from .centred import pair_blocks
from .permutations import PairSums, permuted_product
from .representation import Likeness, Representation, RepresentationMeasure

_MOST_IMAGES = 5000  # 12.5 million pairs, to be sorted
_NOTHING = 1e-6  # where no distance is larger, all are those of a vector from itself in float32


@dataclasses.dataclass(frozen=True)
class PairRanks:
    """The M = N (N - 1) / 2 pairs of N images by their distance.

    Attributes
    ----------
    count : int
        N.
    group : (M,) int32
        Which distance each pair has, from the smallest: of G different ones.
    levels : (G,) float64
        The mean rank of the pairs at that distance over M, less the mean of all.
    variance : float
        Of the ranks over M.
    influences : (N,) float64
        Of each image on that variance, which only ties make any.
    """

    count: int
    group: np.ndarray
    levels: np.ndarray
    variance: float
    influences: np.ndarray

    @classmethod
    def of(cls, distances: np.ndarray) -> PairRanks:
        """Of an (N, N) float32 matrix of distances, of which what is above the diagonal counts."""
        count = len(distances)
        group, sizes = _grouped(np.concatenate([distances[i, i + 1 :] for i in range(count)]))
        levels = (np.cumsum(sizes) - sizes / 2) / len(group) - 0.5
        bare = cls(count, group, levels, float(sizes @ levels**2) / len(group), np.zeros(count))
        moved = levels**2 + 2 * bare.above_levels(sizes * levels)
        return dataclasses.replace(bare, influences=_influences(moved[group], count))

    @property
    def centred(self) -> np.ndarray:
        """The ranks over M, less their mean: (M,) float64."""
        ranks: np.ndarray = self.levels[self.group]
        return ranks

    def above(self, values: np.ndarray) -> np.ndarray:
        """For each pair the sum over M of the values of those that are further apart; of equal ones half."""
        found: np.ndarray = self.above_levels(np.bincount(self.group, values, len(self.levels)))[self.group]
        return found

    def above_levels(self, sums: np.ndarray) -> np.ndarray:
        """The same for each distance, of the (G,) sums of the values at each."""
        found: np.ndarray = (sums.sum() - np.cumsum(sums) + sums / 2) / len(self.group)
        return found


def _grouped(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the different values each is, from the smallest, and how often each value stands there."""
    # floats that are not negative are ordered as their bits: sorted with their places in one word
    bits = np.abs(np.maximum(values, 0, dtype=np.float32)).view(np.uint32).astype(np.uint64)
    words = np.sort((bits << np.uint64(32)) | np.arange(len(bits), dtype=np.uint64))
    keys = words >> np.uint64(32)
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    sizes = np.diff(starts, append=len(keys))
    group = np.empty(len(keys), np.int32)
    group[words & np.uint64(0xFFFFFFFF)] = np.repeat(np.arange(len(starts), dtype=np.int32), sizes)
    return group, sizes


@dataclasses.dataclass(frozen=True)
class RSA(RepresentationMeasure):
    """Spearman's correlation of the cosine distances of all pairs of images.

    Of more than 5000 images so many are drawn. `of_labels` stands in for a representation: what the labels
    themselves say of the pairs.
    """

    name: ClassVar[str] = "RSA"

    def images(self, count: int, widths: Sequence[int]) -> int:
        """See `RepresentationMeasure`."""
        del widths
        return min(count, _MOST_IMAGES)

    def prepare(self, representation: Representation) -> PairRanks:
        """See `RepresentationMeasure`."""
        return PairRanks.of(cosine_distances(representation.vectors))

    @staticmethod
    def of_labels(labels: Labels | np.ndarray) -> PairRanks:
        """Pairs by Jaccard's distance of the classes that they show; of two that show none it is 0."""
        return PairRanks.of(jaccard_distances(Labels.taken(labels)))

    def compare(self, first: PairRanks, second: PairRanks) -> Likeness:
        """See `RepresentationMeasure`."""
        count, u, v = first.count, first.centred, second.centred
        if first.variance <= 0 or second.variance <= 0:
            return Likeness(math.nan, np.zeros(count), math.nan, math.nan)
        size = math.sqrt(first.variance * second.variance)
        value = float(np.dot(u, v) / len(u) / size)
        # an image counts by its own pairs, and by what these do to the ranks of all others
        influences = _influences(u * v + first.above(v) + second.above(u), count) / size
        for side in (first, second):
            influences -= value / 2 * side.influences / side.variance
        one, other = (
            PairSums.symmetric(2 * len(ranks) * side.variance, float((_row_sums(ranks, count) ** 2).sum()))
            for ranks, side in ((u, first), (v, second))
        )
        _, spread = permuted_product(one, other, count)
        return Likeness(value, influences, 0.0, spread / (2 * len(u) * size))


def cosine_distances(vectors: np.ndarray) -> np.ndarray:
    """(N, N) float32, of which what is above the diagonal is filled; a zero vector is at 1 from all."""
    count, width = vectors.shape
    found = np.zeros((count, count), np.float32)
    for some, others in pair_blocks(count, width):
        found[some, others] = _unit(vectors[some]) @ _unit(vectors[others]).T
    np.subtract(1, found, out=found)
    if found.max() < _NOTHING:
        found[:] = 0
    return found


def jaccard_distances(labels: Labels) -> np.ndarray:
    """(N, N) float32."""
    present = labels.present()
    sizes = np.asarray(present.sum(axis=1)).ravel().astype(np.float32)
    shared = (present @ present.T).toarray()
    united = sizes[:, None] + sizes - shared
    found: np.ndarray = 1 - np.divide(shared, united, out=np.ones_like(shared), where=united > 0)
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    rows = np.asarray(vectors, np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    found: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found


def _row_sums(pairs: np.ndarray, count: int) -> np.ndarray:
    """The (N,) sums over the pairs of each image."""
    sums, start = np.zeros(count), 0
    for i in range(count - 1):
        row = pairs[start : start + count - 1 - i]
        sums[i] += row.sum()
        sums[i + 1 :] += row
        start += len(row)
    return sums


def _influences(pairs: np.ndarray, count: int) -> np.ndarray:
    """Of each image on the mean over all pairs."""
    means = _row_sums(pairs, count) / (count - 1)
    found: np.ndarray = 2 * (means - means.mean())
    return found

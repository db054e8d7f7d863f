"""overlap@k: the share of the k nearest neighbors that two representations have in common."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy import sparse

from .at_k import AtK
from .permutations import PairSums, permuted_product
from .representation import Likeness, Representation, RepresentationMeasure


@dataclasses.dataclass(frozen=True)
class NeighborOverlap(AtK, RepresentationMeasure):
    """The mutual k-nearest-neighbor measure (Huh et al. 2024).

    An image has influence by its own neighbors and as one of others: left out, the next one comes into each
    list that it was in. So `neighbors` must go one beyond k. The influences are those of the jackknife, with
    luck averaged out and shrunk by one factor: what two images do only together would count twice.
    """

    name: ClassVar[str] = "overlap"
    k: int = 10

    def prepare(self, representation: Representation) -> np.ndarray:
        """See `RepresentationMeasure`."""
        if representation.neighbors.shape[1] <= self.k:
            raise ValueError(f"{self} needs {self.k + 1} neighbors of each image")
        return representation.neighbors[:, : self.k + 1]

    def compare(self, first: np.ndarray, second: np.ndarray) -> Likeness:
        """See `RepresentationMeasure`."""
        count, k = len(first), self.k
        a, b = first[:, :k], second[:, :k]
        both = shared_neighbors(a, b)
        shared = both.sum(axis=1)
        # by how much what i shares rises when j is left out, who stands in one of its lists or in both
        gain = _by_pair(a, _entering(first, b, shared) - both) + _by_pair(b, _entering(second, a, shared))
        lost = shared - np.asarray(gain.sum(axis=0)).ravel()
        influences = (lost - lost.mean()) / k
        mean, spread = permuted_product(_sums(a), _sums(b), count)
        shrunk = influences * _shrinkage(gain, lost)
        return Likeness(float(both.mean()), shrunk, mean / a.size, spread / a.size)


def _entering(lists: np.ndarray, others: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """(N, k): the share of the next to come into each list that stands in the other one, for each place.

    It is that of the last one in the list and the first one behind it, over all images that share as many:
    whether the very next one stands there is a matter of luck.
    """
    k = others.shape[1]
    there = shared_neighbors(lists[:, k - 1 :], others).mean(axis=1)
    counts = np.maximum(np.bincount(shared, minlength=k + 1), 1)
    means = np.bincount(shared, there, k + 1) / counts
    return np.broadcast_to(means[shared, None], others.shape)


def _by_pair(neighbors: np.ndarray, values: np.ndarray) -> sparse.csr_array:
    count, k = neighbors.shape
    bounds = np.arange(count + 1) * k
    return sparse.csr_array((values.astype(float).ravel(), neighbors.ravel(), bounds), (count, count))


def _shrinkage(gain: sparse.csr_array, lost: np.ndarray) -> float:
    """What makes the spread of influences that of the value.

    What two images do only together is in the influences of both, and counts twice in the sum of their
    squares (Efron and Stein 1981); of few neighbors that is much.
    """
    together, count = gain + gain.T, len(lost)
    squares = together.multiply(together).sum() - together.sum() ** 2 / (count * (count - 1))
    whole = float(((lost - lost.mean()) ** 2).sum())
    return math.sqrt(max(1 - squares / 2 / whole, 0.0)) if whole > 0 else 1.0


def shared_neighbors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, k) bool: which entries of `first` (N, k) stand in the same row of `second` (N, m)."""
    return np.stack([(column[:, None] == second).any(axis=1) for column in first.T], axis=1)


def _sums(neighbors: np.ndarray) -> PairSums:
    """Of the matrix that has a 1 where j is a neighbor of i."""
    count, k = neighbors.shape
    mutual = _mutual(neighbors)
    named = np.bincount(neighbors.ravel(), minlength=count).astype(float)
    entries = float(count * k)
    return PairSums(entries, entries, mutual, entries * k, float((named**2).sum()), entries * k)


def _mutual(neighbors: np.ndarray) -> float:
    """How many entries are mutual: j is a neighbor of i, and i one of j."""
    own = np.arange(len(neighbors))[:, None]
    return float(sum((neighbors[column] == own).any(axis=1).sum() for column in neighbors.T))

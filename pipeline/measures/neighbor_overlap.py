"""overlap@k: the share of the k nearest neighbors that two representations have in common."""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar, Self

import numpy as np

from .permutations import PairSums, permuted_product
from .representation import Likeness, Representation, RepresentationMeasure


@dataclasses.dataclass(frozen=True)
class NeighborOverlap(RepresentationMeasure):
    """The mutual k-nearest-neighbor measure (Huh et al. 2024).

    An image has influence by its own neighbors and as one of others: left out, the next one comes into each
    list that it was in. So `neighbors` must go one beyond k. The influences are those of the jackknife.
    """

    name: ClassVar[str] = "overlap"
    k: int = 10

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """See `RepresentationMeasure`."""
        return (f"{cls.name}@k",)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """See `RepresentationMeasure`."""
        found = re.fullmatch(rf"{cls.name}@([1-9]\d*)", text)
        return cls(int(found[1])) if found else None

    def prepare(self, representation: Representation) -> np.ndarray:
        """See `RepresentationMeasure`."""
        if representation.neighbors.shape[1] <= self.k:
            raise ValueError(f"{self} needs {self.k + 1} neighbors of each image")
        return representation.neighbors[:, : self.k + 1]

    def compare(self, first: np.ndarray, second: np.ndarray) -> Likeness:
        """See `RepresentationMeasure`."""
        count, k = len(first), self.k
        a, b, next_a, next_b = first[:, :k], second[:, :k], first[:, k:], second[:, k:]
        both = shared_neighbors(a, b)
        enters_a, enters_b = shared_neighbors(next_a, b), shared_neighbors(next_b, a)
        change = np.bincount(a.ravel(), np.repeat(enters_a, k), count)
        change += np.bincount(b.ravel(), np.repeat(enters_b, k), count)
        lost = np.broadcast_to((next_a == next_b).astype(float) - 1, a.shape)
        change += np.bincount(a[both], lost[both], count)
        without = (both.sum() - both.sum(axis=1) + change) / ((count - 1) * k)
        influences = (count - 1) * (without.mean() - without)
        mean, spread = permuted_product(_sums(a), _sums(b), count)
        return Likeness(float(both.mean()), influences, mean / a.size, spread / a.size)


def shared_neighbors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, k) bool: which entries of `first` (N, k) stand in the same row of `second` (N, m)."""
    return np.stack([(column[:, None] == second).any(axis=1) for column in first.T], axis=1)


def _sums(neighbors: np.ndarray) -> PairSums:
    """Of the matrix that has a 1 where j is a neighbor of i."""
    count, k = neighbors.shape
    mutual = shared_neighbors_back(neighbors)
    named = np.bincount(neighbors.ravel(), minlength=count).astype(float)
    entries = float(count * k)
    return PairSums(entries, entries, mutual, entries * k, float((named**2).sum()), entries * k)


def shared_neighbors_back(neighbors: np.ndarray) -> float:
    """How many entries are mutual: j is a neighbor of i, and i one of j."""
    own = np.arange(len(neighbors))[:, None]
    return float(sum((neighbors[column] == own).any(axis=1).sum() for column in neighbors.T))

"""How near is near: distances of pairs of images that were drawn by lot."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ..params import Metric
from .metrics import pair_distances

_ROWS = 256  # make 32,640 pairs
_SEED = 0


@dataclasses.dataclass(frozen=True)
class RandomPairs:
    """The distances between rows that were drawn by lot, each with every other.

    Attributes
    ----------
    distances : (P,) float64, ascending
    """

    distances: np.ndarray

    @classmethod
    def among(cls, vectors: np.ndarray, metric: Metric) -> RandomPairs:
        """Of some rows of (N, D) vectors; the same rows for the same N."""
        count = len(vectors)
        chosen = np.random.default_rng(_SEED).choice(count, min(count, _ROWS), replace=False)
        rows = np.asarray(vectors[np.sort(chosen)])
        apart = [pair_distances(row, rows[:at], metric) for at, row in enumerate(rows) if at]
        return cls(np.sort(np.concatenate(apart)) if apart else np.empty(0))

    def __len__(self) -> int:
        return len(self.distances)

    @functools.cached_property
    def _rounded(self) -> np.ndarray:
        """As the distances of neighbors are."""
        return self.distances.astype(np.float32)

    def share(self, distance: float) -> float | None:
        """The share of the pairs that are as near as this or nearer; None where there are no pairs."""
        return self.shares([distance])[0]

    def shares(self, distances: Sequence[float]) -> list[float | None]:
        """As `share`, of several."""
        if not len(self.distances):
            return [None] * len(distances)
        within = np.searchsorted(self._rounded, np.array(distances, np.float32), "right")
        shares: list[float | None] = (within / len(self.distances)).tolist()
        return shares

"""The pairs of rows that a stored graph knows to be near each other, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile


@dataclass(frozen=True)
class NearPairs:
    """Pairs of rows of two files, or of one, each once.

    Attributes
    ----------
    asking, found : FeatureFile
        The files of the first and the second rows.
    a, b : (P,) int64
        Rows of `asking` and of `found`, sorted; a < b where the files are the same.
    distances : (P,) float32
        Cosine distances.
    full : int
        How many rows have more near ones than are stored, where pairs may be missing for that; else 0.
    """

    asking: FeatureFile
    found: FeatureFile
    a: np.ndarray
    b: np.ndarray
    distances: np.ndarray
    full: int

    def __len__(self) -> int:
        return len(self.a)

    @property
    def within(self) -> bool:
        """Whether both rows are of one split."""
        return self.asking.split == self.found.split

    def identical_bytes(self) -> np.ndarray:
        """(P,) bool: whether the two files are the same byte by byte."""
        same: np.ndarray = (self.asking.digests[self.a] == self.found.digests[self.b]).all(axis=1)
        return same

    def all_of_identical_bytes(self) -> int:
        """How many pairs of identical files there are, whether they are stored or not."""
        sizes = Counter(digest.tobytes() for digest in self.found.digests)
        if self.within:
            return sum(size * (size - 1) // 2 for size in sizes.values())
        return sum(sizes[digest.tobytes()] for digest in self.asking.digests)


def near_pairs(graph: NeighborFile, files: Sequence[FeatureFile], threshold: float) -> list[NearPairs]:
    """The pairs with a cosine similarity of at least `threshold`, within each file and between any two.

    A pair is known where one of its images has the other among its stored neighbors: it is missed only if
    both lists are full. There are at most N x depth of them, of 20 bytes each.
    """
    return [
        _of_two(graph, asking, found, np.float32(1 - threshold))
        for number, asking in enumerate(files)
        for found in files[number:]
    ]


def _of_two(graph: NeighborFile, asking: FeatureFile, found: FeatureFile, most: np.float32) -> NearPairs:
    within = asking.split == found.split
    a, b, distances, full = _near(graph, asking.split, found.split, most, len(found) - within)
    others_full = full
    if within:
        more_a, more_b, more_distances = b[a > b], a[a > b], distances[a > b]
        a, b, distances = a[a < b], b[a < b], distances[a < b]
    else:
        more_b, more_a, more_distances, others_full = _near(
            graph, found.split, asking.split, most, len(asking)
        )
    a, b, distances = (
        np.append(one, more) for one, more in ((a, more_a), (b, more_b), (distances, more_distances))
    )
    _, first = np.unique(a * len(found) + b, return_index=True)
    rows = int(full.sum()) if within else int(full.sum() + others_full.sum())
    missing = bool(full.any() and others_full.any())
    return NearPairs(asking, found, a[first], b[first], distances[first], rows if missing else 0)


def _near(
    graph: NeighborFile, asking: str, found: str, most: np.float32, others: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of both splits with their distances, and for which rows of `asking` the list is full of them."""
    rows, distances = graph.nearest(asking, found)
    near = distances <= most
    asked, places = np.nonzero(near)
    full = near[:, -1] if 0 < rows.shape[1] < others else np.zeros(len(rows), bool)
    return asked, rows[asked, places], distances[asked, places], full

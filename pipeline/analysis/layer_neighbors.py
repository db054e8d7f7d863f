"""The nearest images of each image in a layer, stored or found."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..params import Metric
from ..search.exact import ExactSearch
from ..store.neighbor_file import NeighborFile


@dataclasses.dataclass(frozen=True)
class LayerNeighbors:
    """The m nearest other images of each, nearest first.

    Attributes
    ----------
    rows : (N, m) int64
    distances : (N, m) float32
    """

    rows: np.ndarray
    distances: np.ndarray

    @classmethod
    def stored(cls, graph: NeighborFile, split: str) -> LayerNeighbors:
        """Those of a neighbor graph."""
        return cls(*graph.nearest(split, split))

    @classmethod
    def found(cls, vectors: np.ndarray, metric: Metric, depth: int) -> LayerNeighbors:
        """By exact search, as many as there are up to `depth`."""
        depth = min(depth, len(vectors) - 1)
        search = ExactSearch(vectors, metric)
        distances, rows = search.search(search.vectors, depth, exclude=np.arange(len(vectors)))
        return cls(rows, distances)

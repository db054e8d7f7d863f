"""The second step of a search: candidates are measured pair by pair in float64, and the nearest kept."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
from collections.abc import Callable

import numpy as np

from ..params import Metric
from .metrics import distances_from, squared_norms

_ROWS_AT_ONCE = 32
_VALUES_AT_ONCE = 1 << 16  # half a megabyte as float64
_THREADED_WORK = 20_000_000


class Reranker:
    """Ranks candidates by their true distances; keeps the norms that it has computed.

    Parameters
    ----------
    vectors : (N, D) float16 or float32 array
    metric : cosine, l2 or ip
    """

    def __init__(self, vectors: np.ndarray, metric: Metric) -> None:
        self._vectors = vectors
        self._metric = metric
        self._norms = np.full(len(vectors), np.nan)

    def nearest(
        self, queries: np.ndarray, k: int, asked: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Measure some candidates pair by pair and keep the k nearest of each query.

        Parameters
        ----------
        queries : (n, D) array
        k : int
        asked : (c,) int
            Which query each candidate is for; ascending, each query at least k times.
        rows : (c,) int
            The candidates; ascending within each query.

        Returns
        -------
        distances : (n, k) float32
        rows : (n, k) int64
        """
        found = self.distances(queries, asked, rows)
        first = np.searchsorted(asked, np.arange(len(queries)))
        order = np.lexsort((found, asked))  # stable: at the same distance the earlier row comes first
        nearest = order[first[:, None] + np.arange(k)]
        return found[nearest], rows[nearest]

    def distances(self, queries: np.ndarray, asked: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The (c,) float32 distance of each pair of a query and a row; `asked` is ascending."""
        width = self._vectors.shape[1]
        threaded = len(queries) > 1 and len(rows) * width >= _THREADED_WORK
        if self._metric == "cosine":
            self._know_norms(rows, threaded)
        bounds = np.searchsorted(asked, np.arange(len(queries) + 1))
        found = np.empty(len(rows), np.float32)
        step = max(_VALUES_AT_ONCE // max(width, 1), _ROWS_AT_ONCE)
        # few candidates of a query, and not wide, are measured with those of others: calling NumPy costs more
        together = len(queries) > 1 and step > _ROWS_AT_ONCE and len(rows) < _ROWS_AT_ONCE * len(queries)

        def measure(first: int, last: int) -> None:
            # kept from piece to piece: new memory would cost more than the products
            held = np.empty((step, width), self._vectors.dtype)
            exact, points = np.empty(held.shape), np.empty(held.shape if together else (1, width))
            for begin, end in [(first, last)] if together else itertools.pairwise(range(first, last + 1)):
                points[:1] = queries[begin]
                for start in range(bounds[begin], bounds[end], step):
                    piece = slice(start, min(start + step, bounds[end]))
                    some, count = rows[piece], piece.stop - start
                    np.take(self._vectors, some, axis=0, out=held[:count], mode="clip")
                    exact[:count] = held[:count]
                    if together:
                        numbers = asked[piece]
                        near = queries[numbers[0] : numbers[-1] + 1].astype(np.float64)
                        np.take(near, numbers - numbers[0], axis=0, out=points[:count], mode="clip")
                    norms = self._norms[some]
                    found[piece] = distances_from(points[:count], exact[:count], self._metric, norms)

        _share(measure, len(queries), threaded)
        return found

    def _know_norms(self, rows: np.ndarray, threaded: bool) -> None:
        needed = np.zeros(len(self._vectors), bool)
        needed[rows] = True
        unknown = np.flatnonzero(needed & np.isnan(self._norms))

        def measure(first: int, last: int) -> None:
            for start in range(first, last, _ROWS_AT_ONCE):
                some = unknown[start : min(start + _ROWS_AT_ONCE, last)]
                self._norms[some] = squared_norms(self._vectors[some])

        _share(measure, len(unknown), threaded)


def _share(work: Callable[[int, int], None], count: int, threaded: bool) -> None:
    """Call `work` on parts (first, last) of `count` things, in threads where that pays."""
    threads = os.cpu_count() or 1
    if threads == 1 or not threaded:
        work(0, count)
        return
    edges = np.linspace(0, count, 4 * threads + 1).astype(int)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))

"""Exact search, straight on the memory map: the reference that every index is held against.

It runs in two steps. Blocked matrix products in float32 give the candidates: the rows that can be among the
k nearest, given how far off a float32 score can be. These few are then measured pair by pair in float64
(`Reranker`). So the answer does not depend on how the work is cut into blocks or on the number of threads,
and a query asked alone gets what it gets among thousands.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np

from ..errors import UserError
from ..params import Metric
from .candidates import Candidates, hide, lie_within
from .gpu import LIMIT, MARGIN, Gpu, gpu_for
from .metrics import score_errors
from .reranking import Reranker
from .vectors import as_float32, inverse, sums_of_squares

_QUERY_BLOCK = 1024
_ALL_PAIRS_BLOCK = 5120  # rows; a block with itself costs BLAS half (syrk), so that large blocks pay
_SCORES_BYTES = 32 << 20
_VECTORS_BYTES = 64 << 20
_FEW_VECTORS_BYTES = 4 << 20  # the first queries: norms and products read a block from the CPU's cache
_LEFT_QUERIES = 16_384  # by the GPU, at once
_MANY_TIES = 4  # candidates for each neighbor
_FEW_QUERIES = 4  # one by one: as matrix by matrix, BLAS would be slower at them, at two five times
_ONE_THREAD_VALUES = 2_000_000  # below, waking BLAS's other threads takes longer than the product


class ExactSearch:
    """A database held ready for exact search.

    Parameters
    ----------
    vectors : (N, D) float16 or float32 array
        Usually a memory map; it is read in blocks and never copied as a whole.
    metric : cosine, l2 or ip
    """

    def __init__(self, vectors: np.ndarray, metric: Metric) -> None:
        self.vectors = np.asarray(vectors)  # a plain view: np.memmap pays for being one at every slice
        self.metric = metric
        self.reranker = Reranker(self.vectors, metric)
        self._norms = np.full(len(vectors), np.nan, np.float32)  # squared; filled as blocks are first read

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        exclude: np.ndarray | None = None,
        allowed: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows of each query, nearest first; at the same distance the earlier row comes first.

        Parameters
        ----------
        queries : (n, D) array
            `vectors` itself asks for all pairs, at half the cost.
        k : int
        exclude : (n,) int, optional
            For each query a row that is never its neighbor (its own), or -1.
        allowed : (N,) bool, optional
            The rows that may be found.

        Returns
        -------
        distances : (n, k) float32
        rows : (n, k) int64

        Raises
        ------
        UserError
            If there are fewer than `k` rows to find, or a value is not finite.
        """
        count = len(queries)
        own = np.full(count, -1) if exclude is None else np.asarray(exclude)
        self.check_enough(k, exclude, allowed)
        if not count:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        if allowed is None and k + 1 + MARGIN <= LIMIT:
            gpu = gpu_for(count * self.vectors.size)
            if gpu is not None and gpu.room.lock.acquire(blocking=False):  # else the CPU is free meanwhile
                try:
                    return self.search_on(gpu, queries, k, own)
                finally:
                    gpu.room.lock.release()
        return self.search_on_cpu(queries, k, own, allowed)

    def search_on_cpu(
        self, queries: np.ndarray, k: int, own: np.ndarray, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, with a row for each query that is not its neighbor, or -1; whatever GPU there is."""
        candidates = Candidates(len(queries), k)
        if queries is self.vectors:
            self._compare_all_pairs(candidates, own, allowed)
        else:
            self._compare(candidates, queries, own, allowed)
        return self._rank(queries, k, candidates)

    def within(self, queries: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All rows that are no further from a query than its radius: what FAISS calls a range search.

        Parameters
        ----------
        queries : (n, D) array
        radii : (n,) float32
            Distances; inf for every row, -inf for none.

        Returns
        -------
        asked, rows : (c,) int64
            Sorted by query, then by row.
        distances : (c,) float32
            As `search` gives them.

        Raises
        ------
        UserError
            If a value is not finite.
        """
        parts = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        for first, start, scores, errors in self._blocks(queries):
            piece = slice(first, first + len(scores))
            least = self._scores_at(radii[piece], queries[piece]) - 2 * errors  # a radius is rounded
            asked, rows = np.divmod(np.flatnonzero(scores >= least[:, None]), scores.shape[1])
            parts.append((asked + first, rows + start))
        asked, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort((rows, asked))
        asked, rows = asked[order], rows[order]
        distances = self.reranker.distances(queries, asked, rows)
        near = distances <= radii[asked]
        return asked[near], rows[near], distances[near]

    def _scores_at(self, radii: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """The score of a row that lies at a distance of each query."""
        if self.metric == "l2":
            scores: np.ndarray = 0.5 * (sums_of_squares(as_float32(queries)) - radii * np.abs(radii))
            return scores
        return 1 - radii if self.metric == "cosine" else -radii

    def search_on(
        self, gpu: Gpu, queries: np.ndarray, k: int, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, with candidates that a GPU finds; what it is not certain of is searched here."""
        from .gpu_shortlist import shortlists  # FAISS, which a small question does not wait for

        for start in range(0, len(self.vectors), _QUERY_BLOCK):
            self._known_norms(self._block(start, start + _QUERY_BLOCK), start)  # refuses what is not finite
        for start in range(0, 0 if queries is self.vectors else len(queries), _QUERY_BLOCK):
            _read_queries(queries[start : start + _QUERY_BLOCK])
        distances = np.empty((len(queries), k), np.float32)
        nearest = np.full((len(queries), k), -1)
        with contextlib.closing(shortlists(gpu, queries, self.vectors, k, self.metric, own)) as pieces:
            for settled, asked, rows in pieces:  # at an error, too, its thread has ended when this has
                found = self.reranker.nearest(queries[settled], k, asked, rows)
                distances[settled], nearest[settled] = found
        left = np.flatnonzero(nearest[:, 0] < 0)
        for start in range(0, len(left), _LEFT_QUERIES):
            some = left[start : start + _LEFT_QUERIES]
            candidates = Candidates(len(some), k)
            self._compare(candidates, queries[some], own[some], None)
            distances[some], nearest[some] = self._rank(queries[some], k, candidates)
        return distances, nearest

    def _rank(self, queries: np.ndarray, k: int, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        asked, rows = candidates.final()
        if len(rows) > _MANY_TIES * k * len(queries):
            # of equal vectors the earlier come first: one with more than k copies before it is never found
            seen: collections.Counter[bytes] = collections.Counter()
            late = np.zeros(len(self.vectors), bool)
            for row in np.flatnonzero(np.bincount(rows)):
                digest = hashlib.sha256(self.vectors[row].tobytes()).digest()
                late[row] = seen[digest] > k
                seen[digest] += 1
            asked, rows = asked[~late[rows]], rows[~late[rows]]
        return self.reranker.nearest(queries, k, asked, rows)

    def check_enough(self, k: int, exclude: np.ndarray | None, allowed: np.ndarray | None) -> None:
        """Refuse a `k` that is more than some query can find; see `search`."""
        if k < 1:
            raise UserError(f"k is {k}; ask for 1 neighbor or more")
        there = len(self.vectors) if allowed is None else int(allowed.sum())
        if exclude is not None:
            own = exclude[exclude >= 0]
            there -= int(len(own) > 0 and (allowed is None or bool(allowed[own].any())))
        if k > there:
            raise UserError(
                f"k is {k}, but there are only {there} images to find; ask for {max(there, 1)} or fewer"
            )

    def _compare(
        self, candidates: Candidates, queries: np.ndarray, own: np.ndarray, allowed: np.ndarray | None
    ) -> None:
        for first, start, scores, errors in self._blocks(queries):
            hide(scores, own[first : first + len(scores)], start, allowed)
            candidates.add(first, start, scores, errors)

    def _blocks(self, queries: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """Each block of scores: its first query and row, the scores, and their errors."""
        few = len(queries) <= 8 and bool(np.isnan(self._norms).any())
        for first in range(0, len(queries), _QUERY_BLOCK):
            block, lengths = _read_queries(queries[first : first + _QUERY_BLOCK])
            step = self._rows_at_once(len(block), few)
            for start in range(0, len(self.vectors), step):
                scores, errors = self._score(block, lengths, self._block(start, start + step), start)
                yield first, start, scores, errors

    def _compare_all_pairs(self, candidates: Candidates, own: np.ndarray, allowed: np.ndarray | None) -> None:
        """As `_compare` with the database as its own queries: each product serves both of its sides."""
        step = _ALL_PAIRS_BLOCK
        starts = range(0, len(self.vectors), step)
        # each block with itself comes first: then every query has k scores that the others must beat
        pairs = [(start, start) for start in starts] + [(a, b) for a in starts for b in starts if a < b]
        for first, start in pairs:
            asking, lengths = self._all_pairs_block(first)
            found, others = (asking, lengths) if start == first else self._all_pairs_block(start)
            scores = asking @ found.T
            if start != first:
                errors, asked = self._errors(others, lengths.max()), own[start : start + step]
                if self.metric != "l2" and allowed is None and not lie_within(asked, first, step).any():
                    candidates.add_columns(start, first, scores, errors)
                else:
                    turned = self._halve_norms_off(scores.T.copy(), first)
                    hide(turned, asked, first, allowed)
                    candidates.add(start, first, turned, errors)
            self._halve_norms_off(scores, start)
            hide(scores, own[first : first + step], start, allowed)
            candidates.add(first, start, scores, self._errors(lengths, others.max()))

    def _all_pairs_block(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose products are scores (for `l2` all but half of a norm), and the rows' lengths."""
        rows = self._block(start, start + _ALL_PAIRS_BLOCK)
        lengths = np.sqrt(self._known_norms(rows, start))
        return (rows * inverse(lengths)[:, None] if self.metric == "cosine" else rows), lengths

    def _halve_norms_off(self, scores: np.ndarray, start: int) -> np.ndarray:
        if self.metric == "l2":
            scores -= 0.5 * self._norms[start : start + scores.shape[1]]
        return scores

    def _rows_at_once(self, queries: int, few: bool) -> int:
        width = max(self.vectors.shape[1], 1)
        by_vectors: int = (_FEW_VECTORS_BYTES if few else _VECTORS_BYTES) // (4 * width)
        if not few and self.vectors.dtype == np.float32:
            by_vectors = len(self.vectors)  # read where they are
        return max(min(by_vectors, _SCORES_BYTES // (4 * queries)), 16)

    def _block(self, start: int, stop: int) -> np.ndarray:
        return as_float32(self.vectors[start:stop])

    def _known_norms(self, rows: np.ndarray, start: int) -> np.ndarray:
        norms = self._norms[start : start + len(rows)]
        if np.isnan(norms).any():
            found = sums_of_squares(rows)
            if not np.isfinite(found).all():
                row = start + int(np.argmin(np.isfinite(found)))
                raise UserError(f"row {row} of the features has a value that is not finite; extract it again")
            norms[:] = found
        return norms

    def _score(
        self, queries: np.ndarray, lengths: np.ndarray, rows: np.ndarray, start: int
    ) -> tuple[np.ndarray, np.ndarray]:
        self._known_norms(rows, start)
        scores = self._products(queries, rows)
        return scores, self._finish_scores(scores, lengths, start)

    def _products(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if len(queries) > _FEW_QUERIES:
            scores: np.ndarray = queries @ rows.T
            return scores
        if self.vectors.size <= _ONE_THREAD_VALUES:
            return np.stack([np.einsum("nd,d->n", rows, query) for query in queries])
        return np.stack([rows @ query for query in queries])

    def _finish_scores(self, scores: np.ndarray, lengths: np.ndarray, start: int) -> np.ndarray:
        """Turn products into scores, higher for nearer, in place; returns how far off each query's may be."""
        norms = self._norms[start : start + scores.shape[1]]
        self._halve_norms_off(scores, start)
        if self.metric == "cosine":
            scores *= inverse(np.sqrt(norms))
            scores *= inverse(lengths)[:, None]
        return self._errors(lengths, float(np.sqrt(norms.max())))

    def _errors(self, lengths: np.ndarray, longest: float) -> np.ndarray:
        return score_errors(lengths, longest, self.vectors.shape[1], self.metric)


def _read_queries(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Queries as float32, and their lengths."""
    block = as_float32(queries)
    lengths = np.sqrt(sums_of_squares(block))
    if not np.isfinite(lengths).all():
        raise UserError("a query has a value that is not finite")
    return block, lengths

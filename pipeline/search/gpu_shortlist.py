"""The first step of exact search on a GPU: FAISS finds the candidates there, and they are measured here."""

from __future__ import annotations

import concurrent.futures
import math
from collections.abc import Callable, Generator, Iterable, Iterator

import faiss
import numpy as np

from ..params import Metric
from .gpu import LIMIT, MARGIN, Gpu
from .metrics import score_errors
from .vectors import as_float32, sums_of_squares, unit_rows

_QUERIES = 16_384  # at once
_LEAST_ROWS = 256  # of a block: with fewer at once the CPU is as fast
_BLOCK_BYTES = 1 << 30  # of rows as float32, which the machine's memory holds on their way to the GPU

_Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def shortlists(
    gpu: Gpu, queries: np.ndarray, vectors: np.ndarray, k: int, metric: Metric, own: np.ndarray
) -> Generator[_Found]:
    """Rows among which the k nearest are, of some queries at a time; the GPU is at the next meanwhile.

    Cosines are compared by float16 first: rows of length one have no value too large for it, half the bytes
    hold them, and tensor cores compare them. How far off that can be is known; queries that it leaves
    uncertain are asked again by float32.

    Parameters
    ----------
    gpu : Gpu
        Where a block does not fit, smaller ones are tried, from then on.
    queries : (n, D) array
    vectors : (N, D) array
    k : int
        Less than `gpu.LIMIT`.
    metric : cosine, l2 or ip
    own : (n,) int
        A row that is not to be found, or -1.

    Yields
    ------
    settled : (m,) int64
        Queries. Those that never come have more near-ties than a GPU returns, or it has not the memory.
    asked, rows : (c,) int64
        Which of the `settled` each candidate is for; sorted by that, then by row.
    """
    left = np.arange(len(queries))
    for half in (True, False) if metric == "cosine" else (False,):
        search, uncertain = _Search(gpu, vectors, metric, k, half=half), [left[:0]]
        pieces = (left[at : at + _QUERIES] for at in range(0, len(left), _QUERIES))
        for piece, (asked, rows, open_) in _one_ahead(lambda p: search(queries[p], own[p]), pieces):  # noqa: B023
            certain = np.delete(np.arange(len(piece)), open_)
            yield piece[certain], np.searchsorted(certain, asked), rows
            uncertain.append(piece[open_])
        left = np.concatenate(uncertain)


def _one_ahead(
    work: Callable[[np.ndarray], _Found], pieces: Iterable[np.ndarray]
) -> Iterator[tuple[np.ndarray, _Found]]:
    """Each piece and what `work` makes of it, which is at the next while this one is used."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        before = None
        for piece in pieces:
            coming = piece, pool.submit(work, piece)
            if before is not None:
                yield before[0], before[1].result()
            before = coming
        if before is not None:
            yield before[0], before[1].result()


class _Search:
    """Finds candidates block by block; holds on the GPU the blocks that it searched last."""

    def __init__(self, gpu: Gpu, vectors: np.ndarray, metric: Metric, k: int, *, half: bool) -> None:
        self._gpu, self._vectors, self._metric, self._k, self._half = gpu, vectors, metric, k, half
        self._row_bytes: int = (2 if half else 4) * max(vectors.shape[1], 1)
        self._held: dict[tuple[int, int], tuple[faiss.Index, float]] = {}

    def __call__(self, queries: np.ndarray, own: np.ndarray) -> _Found:
        """Candidates of all but the uncertain, sorted by query, then by row; and the uncertain."""
        points = self._prepared(queries)
        while (step := self._rows_at_once()) >= min(_LEAST_ROWS, len(self._vectors)):
            try:
                return self._among(points, own, step)
            except RuntimeError as error:
                self._held.clear()
                self._gpu.room.halve(error)
        self._gpu.room.leave("the nearest rows")
        return np.empty(0, np.int64), np.empty(0, np.int64), np.arange(len(queries))

    def _among(self, points: np.ndarray, own: np.ndarray, step: int) -> _Found:
        lengths = np.sqrt(sums_of_squares(points))
        wide, count = self._k + 1 + MARGIN, len(points)
        score: np.ndarray
        row: np.ndarray
        error: np.ndarray
        score, row, error = np.empty((count, 0)), np.empty((count, 0), np.int64), np.empty((count, 0))
        last = np.full(count, -np.inf)  # what was not returned, or not kept, is at most as near as this
        for start in range(0, len(self._vectors), step):
            stop = min(start + step, len(self._vectors))
            block, longest = self._block(start, stop)
            values, found = self._nearest(block, points, min(wide, stop - start, LIMIT))
            near = np.asarray(-values / 2 if self._metric == "l2" else values, np.float64)
            off = np.broadcast_to(self._errors(lengths, longest)[:, None], near.shape)
            near[found + start == own[:, None]] = -np.inf
            if near.shape[1] < stop - start:
                last = np.maximum(last, (np.where(np.isfinite(near), near, np.inf) + off).min(axis=1))
            score, row, error = (
                np.hstack(pair) for pair in ((score, near), (row, found + start), (error, off))
            )
            order = np.argpartition(-score - error, min(wide, score.shape[1]) - 1, axis=1)
            dropped = np.take_along_axis(score + error, order[:, wide:], axis=1)
            last = np.maximum(last, dropped.max(axis=1, initial=-np.inf))
            score, row, error = (np.take_along_axis(a, order[:, :wide], axis=1) for a in (score, row, error))
        least = np.partition(score - error, -self._k, axis=1)[:, -self._k]  # the k-th is at least this near
        uncertain = last >= least
        kept = score + error >= np.maximum(least, np.finfo(np.float64).min)[:, None]
        asked, column = np.nonzero(kept & ~uncertain[:, None])
        order = np.lexsort((row[asked, column], asked))
        return asked[order], row[asked, column][order], np.flatnonzero(uncertain)

    def _block(self, start: int, stop: int) -> tuple[faiss.Index, float]:
        """Rows on the GPU, and the length of the longest."""
        if (start, stop) not in self._held:
            if (sum(b - a for a, b in self._held) + stop - start) * self._row_bytes > self._room():
                self._held.clear()
            rows = self._prepared(self._vectors[start:stop])
            kind = faiss.METRIC_L2 if self._metric == "l2" else faiss.METRIC_INNER_PRODUCT
            index = self._gpu.flat(rows.shape[1], kind, half=self._half)
            index.add(rows)
            self._held[start, stop] = index, float(np.sqrt(sums_of_squares(rows).max()))
        return self._held[start, stop]

    def _nearest(self, block: faiss.Index, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """In pieces that leave room: queries, and what is found, are another part of the GPU's memory."""
        step = max(self._gpu.room.bytes // 8 // (4 * points.shape[1] + 12 * count), 16)
        parts = [block.search(points[at : at + step], count) for at in range(0, len(points), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _room(self) -> int:
        """Bytes of the GPU for rows."""
        return self._gpu.room.bytes // 2

    def _rows_at_once(self) -> int:
        width: int = max(self._vectors.shape[1], 1)
        return min(self._room() // self._row_bytes, _BLOCK_BYTES // (4 * width))

    def _prepared(self, vectors: np.ndarray) -> np.ndarray:
        single = as_float32(vectors)
        return unit_rows(single) if self._metric == "cosine" else single

    def _errors(self, lengths: np.ndarray, longest: float) -> np.ndarray:
        """How far off a score may be: for products in float32, and for rounding both sides to float16."""
        width = self._vectors.shape[1]
        errors = score_errors(lengths, longest, width, self._metric)
        # a value up to 1 is off by 2^-11 of itself or, below 2^-14, by 2^-25
        return errors + (1.01 * 2.0**-10 + math.sqrt(width) * 2.0**-24 if self._half else 0)

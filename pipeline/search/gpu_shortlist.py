"""The first step of exact search on a CUDA device: FAISS finds the candidates, the CPU reranks them."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
from collections.abc import Callable

import faiss
import numpy as np

from ..params import Metric
from .metrics import score_errors
from .vectors import as_float32, unit_rows

_log = logging.getLogger(__name__)
_ASK = "import faiss; raise SystemExit(10 if faiss.get_num_gpus() else 0)"
_BLOCK_BYTES = 4 << 30
_MARGIN = 64  # more than k, so that near-ties at the k-th place are all there
MOST = 2048  # FAISS finds no more on a device

# (queries, vectors, k, metric) -> (n, k) scores or squared distances, and rows
Knn = Callable[[np.ndarray, np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]


@functools.cache
def device_is_there() -> bool:
    """Whether FAISS has a CUDA device; asked once, in a child, as FAISS aborts where CUDA is half there."""
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 10):
        cause = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        _log.warning("FAISS cannot use CUDA here and works on the CPU (%s)", cause.rpartition("details: ")[2])
    return done.returncode == 10


def knn_on_device(
    queries: np.ndarray, vectors: np.ndarray, k: int, metric: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each query, by FAISS's kernel."""
    return faiss.knn_gpu(faiss.StandardGpuResources(), queries, vectors, k, metric=metric)


def shortlist(
    queries: np.ndarray,
    vectors: np.ndarray,
    k: int,
    metric: Metric,
    own: np.ndarray,
    knn: Knn = knn_on_device,
    block_bytes: int = _BLOCK_BYTES,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows among which the k nearest of each query are, and the queries for which that is not certain.

    Parameters
    ----------
    queries : (n, D) float32
    vectors : (N, D) array
    k : int
    metric : cosine, l2 or ip
    own : (n,) int
        A row that is not to be found, or -1.

    Returns
    -------
    asked, rows : (c,) int64
        Candidates, sorted by query, then by row.
    uncertain : (u,) int64
        Queries with more near-ties than a device can return; their candidates are not complete.
    """
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    points = unit_rows(queries) if metric == "cosine" else queries
    lengths = np.linalg.norm(points.astype(np.float64), axis=1)
    step = max(block_bytes // (4 * vectors.shape[1]), k + 1 + _MARGIN)
    scores, rows, errors, last = [], [], [], np.full(len(queries), -np.inf)
    for start in range(0, len(vectors), step):
        block = as_float32(vectors[start : start + step])
        block = unit_rows(block) if metric == "cosine" else block
        count = min(k + 1 + _MARGIN, len(block), MOST)
        values, found = knn(points, block, count, kind)
        score = np.asarray(-values / 2 if metric == "l2" else values, np.float64)
        longest = float(np.linalg.norm(block, axis=1).max())
        error = score_errors(lengths, longest, vectors.shape[1], metric)[:, None]
        score[found + start == own[:, None]] = -np.inf
        if count < len(block):
            # what was not returned is at most as near as the last that was
            last = np.maximum(last, np.where(np.isfinite(score), score, np.inf).min(axis=1) + error[:, 0])
        scores.append(score)
        rows.append(found.astype(np.int64) + start)
        errors.append(np.broadcast_to(error, score.shape))
    score, row, error = (np.concatenate(part, axis=1) for part in (scores, rows, errors))
    least = np.partition(score - error, -k, axis=1)[:, -k]  # the k-th nearest is at least this near
    kept = score + error >= np.maximum(least, np.finfo(np.float64).min)[:, None]
    asked, column = np.nonzero(kept)
    order = np.lexsort((row[asked, column], asked))
    return asked[order], row[asked, column][order], np.flatnonzero(last >= least)

"""What an index finds of what exact search finds, and what it costs, over a sweep of its parameters."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from ..results.index_quality import OperatingPoint
from .approximate_search import ApproximateSearch
from .exact import ExactSearch
from .metrics import pair_distances

DEPTHS = (1, 10, 100)
TARGET_RECALL = 0.95  # of the recommended setting, at depth 10


def query_rows(rows: int, count: int, seed: int) -> np.ndarray:
    """The rows to ask with: drawn at random, ascending, at most a quarter so that the others can train."""
    return np.sort(np.random.default_rng(seed).choice(rows, min(count, max(rows // 4, 1)), replace=False))


def recall_at(distances: np.ndarray, nearest: np.ndarray) -> float:
    """Recall with ties understood, averaged over queries.

    A row that was found counts if it is no farther than the last of the true nearest: which of several rows
    at that distance it is does not matter (as in `check_ref_knn_with_draws` of faiss.contrib.evaluation).

    Parameters
    ----------
    distances : (n, k) float32
        Exact distances of the rows that were found, inf where nothing was.
    nearest : (n, k) float32
        The true k smallest distances, ascending.
    """
    return float((distances <= nearest[:, -1:]).mean())


def sweep(search: ApproximateSearch, queries: np.ndarray, own: np.ndarray) -> list[OperatingPoint]:
    """Measure an index at each of its settings against exact search.

    Parameters
    ----------
    search : ApproximateSearch
        Left at its last setting.
    queries : (n, D) array
    own : (n,) int
        The row that each query is itself and must not be given, or -1.

    Returns
    -------
    list of OperatingPoint, one a setting
        Recall at each of `DEPTHS` that there are rows for; none where there is no row to find.
    """
    exact = search.exact
    most = len(exact.vectors) - int((own >= 0).any())
    depths = [depth for depth in DEPTHS if depth <= most]
    if not depths:
        return []
    truth, _ = exact.search(queries, depths[-1], exclude=own)
    points = []
    for setting in search.settings():
        search.apply(setting)
        recall, compared = {}, 0.0
        for depth in depths:
            found, work = search.counted(queries, depth)
            distances = _true_distances(exact, queries, own, found, depth)
            recall[str(depth)] = recall_at(distances, truth[:, :depth])
            if depth == 10 or depths == [1]:
                compared = work
        points.append(OperatingPoint(setting=setting, recall=recall, compared=compared))
    front = pareto_front(points)
    return [msgspec.structs.replace(point, on_front=point in front) for point in points]


def pareto_front(points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """The points that no other beats in both recall@10 and cost, cheapest first."""
    front: list[OperatingPoint] = []
    for point in sorted(points, key=lambda p: (p.compared, -p.main_recall)):
        if not front or point.main_recall > front[-1].main_recall:
            front.append(point)
    return front


def recommended(points: Sequence[OperatingPoint], target: float = TARGET_RECALL) -> OperatingPoint:
    """The cheapest point with a recall@10 of `target`; if none has it, the one with the highest."""
    front = pareto_front(points)
    return next((point for point in front if point.main_recall >= target), front[-1])


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds: the median of single queries, and a query's share of a batch."""

    single: float
    in_batch: float


def measure_latency(
    search: Callable[[np.ndarray], object], queries: np.ndarray, singles: int = 50
) -> Latency:
    """Time `search` on some queries one by one, after a warm-up, and on all of them at once."""
    search(queries[:1])
    times = []
    for number in range(min(singles, len(queries))):
        start = time.perf_counter()
        search(queries[number : number + 1])
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    search(queries)
    together = time.perf_counter() - start
    return Latency(1e3 * statistics.median(times), 1e3 * together / len(queries))


def _true_distances(
    exact: ExactSearch, queries: np.ndarray, own: np.ndarray, found: np.ndarray, depth: int
) -> np.ndarray:
    """The exact distances of the `depth` nearest of the rows found, ascending; inf where there are fewer."""
    distances = np.full((len(queries), depth), np.inf, np.float32)
    for number, (query, rows) in enumerate(zip(queries, found, strict=True)):
        rows = rows[(rows >= 0) & (rows != own[number])]
        measured = np.sort(pair_distances(query, exact.vectors[rows], exact.metric).astype(np.float32))[
            :depth
        ]
        distances[number, : len(measured)] = measured
    return distances

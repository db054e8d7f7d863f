"""What an index is said to find, against a recount by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.results.index_quality import OperatingPoint
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index
from pool5.search.faiss_search import IndexSearch, settings_of
from pool5.search.quality import (
    pareto_front,
    query_rows,
    recall_at,
    recommended,
    sweep,
)

from .conftest import clustered


def point(recall: float, compared: float) -> OperatingPoint:
    return OperatingPoint(
        setting={"nprobe": int(compared)}, recall={"1": recall, "10": recall}, compared=compared
    )


def recount(index, vectors: np.ndarray, own: np.ndarray, k: int) -> float:
    """recall@k in plain NumPy, where a row at the distance of the k-th counts whichever it is."""
    hits = 0
    for row in own:
        truth = np.sqrt(((vectors - vectors[row]) ** 2).sum(axis=1))
        truth[row] = np.inf
        limit = np.sort(truth)[k - 1] + 1e-6
        found = [r for r in index.search(vectors[row : row + 1], k + 1)[1][0] if r not in (row, -1)][:k]
        hits += sum(truth[r] <= limit for r in found)
    return hits / k / len(own)


def test_recall_over_the_sweep_equals_a_recount_by_brute_force():
    vectors = clustered(0, 1500, 16)
    vectors[700:720] = vectors[0]  # a tie of more than ten
    index, _ = build_index(vectors, "IVF20,Flat", "l2", seed=0)
    own = np.concatenate([[0, 705], query_rows(1500, 60, 0)])
    points = sweep(IndexSearch(index, ExactSearch(vectors, "l2")), vectors[own], own)
    assert [p.setting for p in points] == [{"nprobe": n} for n in (1, 2, 4, 8, 16)]
    for measured in points:
        index.nprobe = measured.setting["nprobe"]
        for depth in (1, 10, 100):
            assert measured.recall[str(depth)] == pytest.approx(recount(index, vectors, own, depth), abs=1e-9)
    assert points[0].recall["100"] < points[-1].recall["100"]
    assert points[0].compared < points[-1].compared <= 1500 + 20


def test_a_flat_index_has_one_point_and_finds_everything():
    vectors = clustered(1, 300, 16)
    index, _ = build_index(vectors, "Flat", "cosine", seed=0)
    own = query_rows(300, 50, 0)
    (only,) = sweep(IndexSearch(index, ExactSearch(vectors, "cosine")), vectors[own], own)
    assert (only.name, only.recall, only.compared) == ("exact", {"1": 1.0, "10": 1.0, "100": 1.0}, 300)
    assert only.on_front


def test_a_longer_shortlist_finds_more_through_coarse_codes():
    vectors = clustered(2, 2000, 16)
    index, _ = build_index(vectors, "IVF4,PQ2x4", "cosine", seed=0)
    own = query_rows(2000, 100, 0)
    points = sweep(IndexSearch(index, ExactSearch(vectors, "cosine")), vectors[own], own)
    at_all_lists = [p.recall["10"] for p in points if p.setting["nprobe"] == 4]
    assert at_all_lists == sorted(set(at_all_lists))


def test_nothing_found_counts_as_missed():
    nearest = np.array([[0.1, 0.2]], np.float32)
    assert recall_at(np.array([[0.2, 0.2]], np.float32), nearest) == 1
    assert recall_at(np.array([[0.1, np.inf]], np.float32), nearest) == 0.5


def test_the_queries_are_drawn_at_random_and_leave_most_rows_for_training():
    rows = query_rows(100_000, 200, 0)
    assert len(set(rows.tolist())) == 200
    assert rows.max() > 90_000
    assert len(query_rows(40, 200, 0)) == 10


def test_the_front_keeps_what_nothing_beats_and_the_cheapest_good_point_is_recommended():
    points = [point(0.99, 90), point(0.5, 10), point(0.96, 50), point(0.4, 20), point(0.96, 60)]
    assert [p.compared for p in pareto_front(points)] == [10, 50, 90]
    assert recommended(points).compared == 50
    assert recommended(points, target=0.97).compared == 90
    assert recommended(points, target=1.0).compared == 90


def test_a_graph_is_swept_over_ef_search():
    index, _ = build_index(clustered(3, 100, 8), "HNSW8", "l2", seed=0)
    assert [s["efSearch"] for s in settings_of(index)] == [16, 32, 64, 128, 256, 512]

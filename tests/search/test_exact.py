"""Exact search against brute force in NumPy and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from pool5.errors import UserError
from pool5.search.exact import ExactSearch
from pool5.search.reranking import Reranker

METRICS = ["cosine", "l2", "ip"]


def all_distances(queries: np.ndarray, database: np.ndarray, metric: str) -> np.ndarray:
    """By the textbook, in float64."""
    q, x = queries.astype(np.float64), database.astype(np.float64)
    if metric == "ip":
        return -q @ x.T
    if metric == "l2":
        return np.array([np.sqrt(((x - row) ** 2).sum(axis=1)) for row in q])
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    return 1 - np.divide(q @ x.T, lengths, out=np.zeros((len(q), len(x))), where=lengths > 0)


def assert_nearest(distances, rows, truth, k):
    """The distances are the k smallest, and each row is at the distance told, whichever of a tie it is."""
    scale = max(1.0, float(np.abs(truth[np.isfinite(truth)]).max()))
    np.testing.assert_allclose(distances, np.sort(truth, axis=1)[:, :k], atol=2e-6 * scale)
    np.testing.assert_allclose(distances, np.take_along_axis(truth, rows, axis=1), atol=2e-6 * scale)
    assert all(len(set(row)) == k for row in rows.tolist())


def exact_search(queries, database, k, metric, exclude=None):
    search = ExactSearch(database, metric)
    return search.search(search.vectors if queries is database else queries, k, exclude=exclude)


def features(seed: int, rows: int, width: int, dtype: type = np.float32) -> np.ndarray:
    """What a network gives: not negative, half of it zero."""
    return np.maximum(np.random.default_rng(seed).standard_normal((rows, width)), 0).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("metric", METRICS)
def test_all_pairs_equal_brute_force_across_blocks(metric, dtype, monkeypatch):
    monkeypatch.setattr("pool5.search.exact._ALL_PAIRS_BLOCK", 300)
    x = features(0, 1000, 48, dtype)
    own = np.arange(len(x))
    distances, rows = exact_search(x, x, 7, metric, exclude=own)
    truth = all_distances(x, x, metric)
    truth[own, own] = np.inf
    assert_nearest(distances, rows, truth, 7)
    assert not (rows == own[:, None]).any()


@pytest.mark.parametrize("metric", METRICS)
def test_all_pairs_may_exclude_any_row_and_allow_some(metric, monkeypatch):
    monkeypatch.setattr("pool5.search.exact._ALL_PAIRS_BLOCK", 200)
    x = features(3, 700, 24)
    x[650:] = x[:50]  # duplicates, blocks apart
    random = np.random.default_rng(0)
    excluded, allowed = random.integers(-1, len(x), len(x)), random.random(len(x)) < 0.5
    for some in (None, allowed):
        search = ExactSearch(x, metric)
        distances, rows = search.search(search.vectors, 5, exclude=excluded, allowed=some)
        truth = all_distances(x, x, metric)
        asked = np.flatnonzero(excluded >= 0)
        truth[asked, excluded[asked]] = np.inf
        if some is not None:
            truth[:, ~some] = np.inf
        assert_nearest(distances, rows, truth, 5)


@pytest.mark.parametrize(("metric", "theirs"), [("cosine", "cosine"), ("l2", "euclidean")])
def test_all_pairs_equal_scikit_learn(metric, theirs):
    x = features(1, 600, 300)
    distances, rows = exact_search(x, x, 5, metric, exclude=np.arange(600))
    reference, order = NearestNeighbors(n_neighbors=5, metric=theirs, algorithm="brute").fit(x).kneighbors()
    np.testing.assert_allclose(distances, reference, atol=1e-5)
    assert (rows == order).mean() > 0.999


@pytest.mark.parametrize("metric", METRICS)
def test_a_query_asked_alone_gets_bit_for_bit_what_it_gets_among_all(metric):
    x = features(2, 1500, 257)
    own = np.arange(len(x))
    together = exact_search(x, x, 9, metric, exclude=own)
    search = ExactSearch(x, metric)
    for row in (0, 700, 1499):
        alone = search.search(x[row : row + 1], 9, exclude=own[row : row + 1])
        assert np.array_equal(alone[0][0], together[0][row])
        assert np.array_equal(alone[1][0], together[1][row])


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_exact_duplicates_come_first_at_distance_zero_in_row_order(metric):
    x = features(3, 1300, 100)
    x[[40, 1200, 700]] = x[5]
    distances, rows = exact_search(x[[5, 700]], x, 5, metric, exclude=np.array([5, 700]))
    assert rows[0, :3].tolist() == [40, 700, 1200]
    assert rows[1, :3].tolist() == [5, 40, 1200]
    assert (distances[:, :3] == 0).all()
    assert (distances[:, 3:] > 0).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(2, 40),
    width=st.integers(1, 12),
    metric=st.sampled_from(METRICS),
    data=st.data(),
)
def test_any_small_database_with_many_ties_equals_brute_force_in_row_order(seed, rows, width, metric, data):
    # small whole numbers: every product is exact, so that the order under ties has one right answer
    x = np.random.default_rng(seed).integers(0, 3, (rows, width)).astype(np.float32)
    k = data.draw(st.integers(1, rows - 1))
    own = np.arange(rows)
    distances, found = exact_search(x, x, k, metric, exclude=own)
    truth = all_distances(x, x, metric).astype(np.float32)
    truth[own, own] = np.inf
    assert_nearest(distances, found, truth, k)
    later = np.diff(found, axis=1) > 0
    assert (later | (np.diff(distances, axis=1) > 0)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_of_hundreds_of_equal_rows_the_earliest_are_found_and_few_are_measured(metric, monkeypatch):
    x = features(8, 900, 16)
    copies = np.random.default_rng(8).permutation(900)[:600]
    x[copies] = x[copies[0]]
    measured, rank = [], Reranker.nearest

    def counted(self, queries, k, asked, rows):
        measured.append(len(rows))
        return rank(self, queries, k, asked, rows)

    monkeypatch.setattr(Reranker, "nearest", counted)
    distances, rows = exact_search(x, x, 5, metric, exclude=np.arange(900))
    truth = all_distances(x, x, metric).astype(np.float32)
    truth[np.arange(900), np.arange(900)] = np.inf
    assert_nearest(distances, rows, truth, 5)
    if metric != "ip":
        for row in copies:
            assert rows[row].tolist() == [other for other in np.sort(copies)[:6] if other != row][:5]
    assert sum(measured) < 900 * 20


def test_only_allowed_rows_are_found():
    x = features(4, 200, 20)
    allowed = np.arange(200) % 3 == 0
    distances, rows = ExactSearch(x, "l2").search(x[:10], 6, exclude=np.arange(10), allowed=allowed)
    truth = all_distances(x[:10], x, "l2")
    truth[:, ~allowed] = np.inf
    truth[np.arange(10), np.arange(10)] = np.inf
    assert_nearest(distances, rows, truth, 6)


def test_a_zero_vector_is_at_cosine_distance_one_from_everything():
    x = features(5, 20, 8)
    x[[3, 11]] = 0
    distances, rows = exact_search(x[3:4], x, 19, "cosine", exclude=np.array([3]))
    assert (distances == 1).all()
    assert rows[0].tolist() == [row for row in range(20) if row != 3]


def test_every_finite_float16_is_read_exactly():
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)][:, None]
    distances, rows = exact_search(np.ones((1, 1)), every, len(every), "ip")
    np.testing.assert_array_equal(-distances[0], np.sort(every[:, 0].astype(np.float32))[::-1])
    np.testing.assert_array_equal(every[rows[0], 0], -distances[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(dtype, value):
    x = features(6, 50, 10, dtype)
    x[17, 3] = value
    search = ExactSearch(x, "cosine")
    for _ in range(2):
        with pytest.raises(UserError, match="row 17"):
            search.search(x[:1], 3)
    with pytest.raises(UserError, match="not finite"):
        ExactSearch(x[:17], "cosine").search(x[17:18], 3)


@pytest.mark.parametrize(("k", "exclude"), [(6, None), (5, np.array([2])), (0, None)])
def test_more_neighbors_than_there_are_is_refused(k, exclude):
    x = features(7, 5, 4)
    with pytest.raises(UserError, match=rf"k is {k}"):
        exact_search(x[2:3], x, k, "l2", exclude=exclude)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("metric", METRICS)
def test_within_a_radius_are_the_rows_that_search_finds_up_to_there(metric, dtype):
    x, q = features(0, 120, 16, dtype), features(1, 30, 16, dtype)
    x[[5, 60]] = q[4]
    distances, rows = exact_search(q, x, 120, metric)
    radii = distances[:, 7].copy()
    radii[[1, 2]] = np.inf, -np.inf
    asked, found, far = ExactSearch(x, metric).within(q, radii)
    for query, (near, place) in enumerate(zip(distances, rows, strict=True)):
        inside = np.sort(place[near <= radii[query]])
        assert found[asked == query].tolist() == inside.tolist()
        np.testing.assert_array_equal(far[asked == query], near[np.argsort(place)][inside])
    assert (np.diff(asked) >= 0).all()

"""Measures of a map that agree with their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from pool5.analysis.maps.trust import measure_trust

NAMES = "abcde"


def clusters(count: int, width: int = 64, of: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features in `of` clusters far apart, and which cluster each row is of."""
    random = np.random.default_rng(seed)
    cluster = random.integers(of, size=count)
    centres = np.random.default_rng(99).normal(size=(of, width)) * 5
    return (centres[cluster] + random.normal(size=(count, width))).astype(np.float32), cluster


def one_hot(cluster: np.ndarray) -> np.ndarray:
    return np.where(np.eye(5, dtype=bool)[cluster], 1, -1).astype(np.int8)


def test_trustworthiness_is_the_published_measure():
    features, cluster = clusters(300)
    points = features[:, :2].astype(np.float64)  # a poor map, so that there is something to measure
    trust = measure_trust(features, one_hot(cluster), NAMES, points)
    assert trust.trustworthiness == pytest.approx(trustworthiness(features, points, n_neighbors=10), abs=1e-6)
    assert trust.trustworthiness < 0.95


def test_trustworthiness_of_many_images_is_estimated_on_some():
    features, cluster = clusters(4000)
    points = features[:, :2].astype(np.float64)
    trust = measure_trust(features, one_hot(cluster), NAMES, points)
    assert trust.trustworthiness == pytest.approx(
        trustworthiness(features, points, n_neighbors=10), abs=0.005
    )


def test_knn_preservation_and_stability_agree_with_sets_of_neighbors():
    features, cluster = clusters(200)
    points, other = (features[:, i : i + 2].astype(np.float64) for i in (0, 1))
    trust = measure_trust(features, one_hot(cluster), NAMES, points, [other, points])

    def neighbors(data):
        found = NearestNeighbors(n_neighbors=10).fit(data).kneighbors(return_distance=False)
        return [set(row) for row in found.tolist()]

    def shared(one, two):
        return np.mean([len(a & b) / 10 for a, b in zip(neighbors(one), neighbors(two), strict=True)])

    assert trust.knn_preservation == pytest.approx(shared(features, points), abs=0.002)
    assert trust.stability == pytest.approx((shared(points, other) + 1) / 2, abs=0.002)
    assert measure_trust(features, one_hot(cluster), NAMES, points).stability is None


def test_purity_counts_neighbors_of_the_class_and_leaves_difficult_ones_out():
    # two groups far apart on a line; the second class is certain in the first group's first half only
    points = np.array([[i, 0.0] for i in range(6)] + [[100.0 + i, 0.0] for i in range(6)])
    labels = np.full((12, 3), -1, np.int8)
    labels[:6, 0] = 1
    labels[:3, 1], labels[3:6, 1] = 1, 0
    labels[0, 2] = 1
    trust = measure_trust(points.astype(np.float32), labels, ["a", "b", "c"], points)
    assert trust.neighbors == 5
    assert [part.class_name for part in trust.by_class] == ["a", "b"]
    np.testing.assert_allclose([part.purity for part in trust.by_class], [1, 1])
    np.testing.assert_allclose([part.purity_in_layer for part in trust.by_class], [1, 1])
    np.testing.assert_allclose([part.chance for part in trust.by_class], [5 / 11, 2 / 8])

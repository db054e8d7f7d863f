"""Intervals of how alike two layers are hold what they promise, and are of the same images for all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.layer_neighbors import LayerNeighbors
from pool5.analysis.layers.intervals import interval, resampled
from pool5.measures import CKA, RSA, NeighborOverlap, Procrustes
from pool5.measures.representation import Representation

MEASURES = [CKA(), RSA(), NeighborOverlap(5), Procrustes(permutations=1)]


def two_layers(seed: int, count: int = 100, width: int = 12) -> list[np.ndarray]:
    rng, mixing = np.random.default_rng(seed), np.random.default_rng(99)
    seen = rng.standard_normal((count, 5))
    layers = [seen @ mixing.standard_normal((5, w)) for w in (width, width + 4)]
    return [np.maximum(x + rng.standard_normal(x.shape), 0).astype(np.float32) for x in layers]


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_the_interval_holds_the_true_value_as_often_as_it_says(measure):
    found = []
    for seed in range(120):
        sides = [
            measure.prepare(Representation(each, LayerNeighbors.found(each, "cosine", 6).rows))
            for each in two_layers(seed)
        ]
        likeness = measure.compare(*sides)
        drawn = resampled(np.array([likeness.value]), likeness.influences[:, None], 300, seed)
        found.append((likeness.value, *interval(drawn[:, 0])))
    true = np.mean([value for value, *_ in found])
    # 95 % of 120 draws, give or take three standard errors
    assert 0.89 <= np.mean([lo <= true <= hi for _, lo, hi in found]) <= 1


def test_all_numbers_see_the_same_resamples():
    influences = np.random.default_rng(0).normal(size=(50, 1))
    drawn = resampled(np.array([0.3, 0.4]), np.hstack([influences, influences]), 200, 0)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 0.1, atol=1e-6)
    assert drawn[:, 0].std() == pytest.approx(influences.std() / 50**0.5, rel=0.2)

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import _SigmoidCalibration

from pool5.probe.calibration import cross_fitted, fit_sigmoids


def drawn(seed: int, slope: float = 2.0, intercept: float = -1.0, count: int = 400):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=count)
    labels = np.where(rng.random(count) < 1 / (1 + np.exp(-(slope * scores + intercept))), 1, -1)
    return scores[:, None], labels[:, None].astype(np.int8)


@pytest.mark.parametrize("seed", range(4))
def test_the_sigmoid_is_that_of_scikit_learn(seed):
    scores, labels = drawn(seed)
    peer = _SigmoidCalibration().fit(scores[:, 0], labels[:, 0])
    found = fit_sigmoids(scores, labels).probabilities(scores)[:, 0]
    np.testing.assert_allclose(found, peer.predict(scores[:, 0]), atol=1e-4)


def test_the_probabilities_of_known_sigmoids_come_out():
    scores, labels = drawn(0, 3.0, -2.0, 100_000)
    fitted = fit_sigmoids(scores, labels)
    assert (fitted.slope[0], fitted.intercept[0]) == pytest.approx((3, -2), rel=0.03)


def test_scores_that_do_not_rise_with_the_labels_give_every_image_the_share():
    scores, labels = drawn(1)
    for other in (-scores, np.zeros_like(scores)):
        found = fit_sigmoids(other, labels).probabilities(other)
        assert np.ptp(found) == 0
        assert found[0, 0] == pytest.approx((labels == 1).mean(), abs=0.01)


def test_labels_of_0_do_not_count_and_a_class_of_one_label_has_no_sigmoid():
    scores, labels = drawn(2)
    masked = labels.copy()
    masked[:100] = 0
    whole, part = fit_sigmoids(scores, masked), fit_sigmoids(scores[100:], labels[100:])
    assert whole.slope == pytest.approx(part.slope, rel=1e-6)
    assert np.isnan(fit_sigmoids(scores, np.ones_like(labels)).slope).all()


def test_separable_scores_give_no_probability_of_0_or_1():
    scores = np.arange(20.0)[:, None]
    found = fit_sigmoids(scores, np.where(scores > 9, 1, -1)).probabilities(scores)
    assert 0 < found.min() < 0.12
    assert 0.88 < found.max() < 1


def test_an_image_does_not_decide_its_own_probability():
    scores, labels = drawn(3)
    folds = np.arange(len(scores))[:, None] % 5
    before = cross_fitted(scores, labels, folds)
    labels[folds == 2] *= -1
    after = cross_fitted(scores, labels, folds)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert (before[folds != 2] != after[folds != 2]).all()

from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.label_issues.noise import NoiseRates, estimate_rates, probably_wrong, rate_bounds

RATES = NoiseRates(missing=0.1, wrong=0.03)


def drawn(seed: int = 0, images: int = 4000, classes: int = 6):
    """Probabilities that an image shows a class, given labels, and which of these are wrong."""
    rng = np.random.default_rng(seed)
    truth_told = 1 / (1 + np.exp(-rng.normal(-2, 4, (images, classes))))
    truth = rng.random(truth_told.shape) < truth_told
    turned = rng.random(truth.shape) < np.where(truth, RATES.missing, RATES.wrong)
    shown = truth_told * (1 - RATES.missing) + (1 - truth_told) * RATES.wrong
    return shown, np.where(truth ^ turned, 1, -1).astype(np.int8), turned


def test_of_the_labels_that_are_wrong_with_a_probability_so_many_are():
    shown, labels, turned = drawn()
    doubt = probably_wrong(shown, labels, RATES)
    for low in np.arange(0, 1, 0.2):
        inside = (doubt >= low) & (doubt < low + 0.2)
        assert turned[inside].mean() == pytest.approx(doubt[inside].mean(), abs=0.06)
    assert doubt.sum() == pytest.approx(turned.sum(), rel=0.05)


def test_the_rates_that_made_the_labels_come_out():
    found = estimate_rates(*drawn()[:2])
    assert found.missing == pytest.approx(RATES.missing, abs=0.04)
    assert found.wrong == pytest.approx(RATES.wrong, abs=0.015)


def test_the_bounds_of_a_class_that_is_hard_to_tell_do_not_raise_the_rates():
    shown, labels, _ = drawn()
    rng = np.random.default_rng(1)
    hard = np.where(rng.random((len(shown), 1)) < 0.3, 1, -1).astype(np.int8)
    with_hard = np.hstack([shown, np.full_like(hard, 0.3, dtype=float)]), np.hstack([labels, hard])
    missing, wrong = rate_bounds(*with_hard)
    assert missing[-1] > 0.5
    assert wrong[-1] > 0.2
    assert estimate_rates(*with_hard) == estimate_rates(shown, labels)


def test_the_labels_of_one_kind_are_ranked_by_self_confidence_as_cleanlab_has_it():
    shown, labels, _ = drawn()
    doubt = probably_wrong(shown, labels, estimate_rates(shown, labels))
    for kind, own in ((1, shown), (-1, 1 - shown)):
        inside = labels == kind
        order = np.argsort(own[inside])
        assert (np.diff(doubt[inside][order]) <= 1e-9).all()


def test_labels_of_0_are_not_doubted_and_count_nowhere():
    shown, labels, _ = drawn()
    masked = labels.copy()
    masked[::3] = 0
    assert np.isnan(probably_wrong(shown, masked, RATES)[::3]).all()
    kept = np.arange(len(shown)) % 3 > 0
    assert estimate_rates(shown, masked) == estimate_rates(shown[kept], labels[kept])


def test_without_labels_of_both_kinds_there_are_no_rates():
    assert estimate_rates(np.full((5, 1), 0.5), np.ones((5, 1), np.int8)) is None
    assert estimate_rates(np.empty((5, 0)), np.empty((5, 0), np.int8)) is None

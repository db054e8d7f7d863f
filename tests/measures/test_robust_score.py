from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pool5.measures.robust_score import middle


def test_the_scores_are_those_of_scipy():
    values = np.random.default_rng(0).gamma(2, size=501)
    expected = (values - np.median(values)) / stats.median_abs_deviation(values, scale="normal")
    np.testing.assert_allclose(middle(values).scores(values), expected, rtol=1e-4)


def test_of_normal_values_the_spread_is_their_standard_deviation():
    values = np.random.default_rng(1).normal(5, 3, 100_000)
    assert middle(values).spread == pytest.approx(3, rel=0.01)


def test_odd_values_do_not_change_what_they_are_compared_with():
    values = np.random.default_rng(2).normal(size=1000)
    spoiled = values.copy()
    spoiled[:100] = 1e6
    assert middle(spoiled).spread == pytest.approx(middle(values).spread, rel=0.25)


def test_where_most_values_are_the_same_the_others_still_have_a_score():
    values = np.array([4.0] * 90 + [5.0] * 10)
    assert middle(values).spread == pytest.approx(0.12533)
    assert middle(values[:90]).scores(values) is None

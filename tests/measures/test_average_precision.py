import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from pool5.measures.average_precision import (
    average_precision,
    mean_average_precision,
    resampled_average_precision,
)
from pool5.measures.bootstrap import bootstrap_counts
from pool5.measures.chance import chance_level

PROTOCOLS = ("voc2007", "area", "sklearn")


def by_hand(scores, labels, weights=None):
    """AP of one class in exact fractions, threshold by threshold, from the definitions alone."""
    weights = [1] * len(scores) if weights is None else [int(w) for w in weights]
    images = [
        (s, y, w)
        for s, y, w in zip(scores.tolist(), labels.tolist(), weights, strict=True)
        if y != 0 and w > 0
    ]
    total = sum(w for _, y, w in images if y == 1)
    if total == 0:
        return None
    curve = []  # (recall, precision) at every distinct score, the highest first
    for threshold in sorted({s for s, _, _ in images}, reverse=True):
        above = [(y, w) for s, y, w in images if s >= threshold]
        hits = sum(w for y, w in above if y == 1)
        curve.append((Fraction(hits, total), Fraction(hits, sum(w for _, w in above))))
    steps = [curve[0][0]] + [b[0] - a[0] for a, b in pairwise(curve)]

    def interpolated(recall):
        return max(p for r, p in curve if r >= recall)

    return {
        "sklearn": sum(step * p for step, (_, p) in zip(steps, curve, strict=True)),
        "area": sum(step * interpolated(r) for step, (r, _) in zip(steps, curve, strict=True)),
        "voc2007": sum(interpolated(Fraction(i, 10)) for i in range(11)) / 11,
    }


@st.composite
def scored(draw):
    n, c = draw(st.integers(0, 40)), draw(st.integers(1, 4))
    few = st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.0])  # many ties
    many = st.floats(-1e6, 1e6, width=32)
    scores = draw(arrays(np.float64, (n, c), elements=draw(st.sampled_from([few, many]))))
    labels = draw(arrays(np.int8, (n, c), elements=st.sampled_from([-1, 0, 1])))
    return scores, labels


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=150, deadline=None)
@given(scored())
def test_ap_equals_the_definition_with_ties_masks_and_empty_classes(protocol, case):
    scores, labels = case
    found = average_precision(scores, labels, protocol)
    for c in range(scores.shape[1]):
        expected = by_hand(scores[:, c], labels[:, c])
        if expected is None:
            assert np.isnan(found[c])
        else:
            assert found[c] == pytest.approx(float(expected[protocol]), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(scored())
def test_the_sklearn_protocol_equals_scikit_learn(case):
    scores, labels = case
    found = average_precision(scores, labels, "sklearn")
    for c in range(scores.shape[1]):
        counted = labels[:, c] != 0
        if (labels[:, c] == 1).any():
            expected = average_precision_score(labels[counted, c] == 1, scores[counted, c])
            assert found[c] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(scored(), st.integers(0, 2**32 - 1))
def test_a_resample_has_the_ap_of_its_images_written_out(case, seed):
    scores, labels = case
    counts = np.random.default_rng(seed).integers(0, 4, (len(scores), 3)).astype(np.float32)
    found = resampled_average_precision(scores, labels, PROTOCOLS, counts)
    for c in range(scores.shape[1]):
        for b in range(3):
            expected = by_hand(scores[:, c], labels[:, c], counts[:, b])
            for protocol in PROTOCOLS:
                if expected is None:
                    assert np.isnan(found[protocol][c, b])
                else:
                    assert found[protocol][c, b] == pytest.approx(float(expected[protocol]), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(scored(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_changes_nothing(case, random):
    scores, labels = case
    order = list(range(len(scores)))
    random.shuffle(order)
    for protocol in PROTOCOLS:
        before = average_precision(scores, labels, protocol)
        np.testing.assert_array_equal(average_precision(scores[order], labels[order], protocol), before)


def test_a_constant_score_has_the_prevalence_as_its_ap():
    labels = np.array([[1], [-1], [-1], [0], [1], [-1], [-1], [-1]])
    for protocol in PROTOCOLS:
        assert average_precision(np.zeros((8, 1)), labels, protocol) == pytest.approx(2 / 7)
    assert chance_level(labels) == pytest.approx(2 / 7)


def test_a_worked_example_separates_the_three_protocols():
    # ranking: + - - + -   precision at the hits 1 and 1/2, at recall 1/2 and 1
    scores, labels = np.array([[5.0], [4], [3], [2], [1]]), np.array([[1], [-1], [-1], [1], [-1]])
    assert average_precision(scores, labels, "sklearn") == pytest.approx(0.75)
    assert average_precision(scores, labels, "area") == pytest.approx(0.75)
    assert average_precision(scores, labels, "voc2007") == pytest.approx((6 * 1 + 5 * 0.5) / 11)
    # - + +   precision 1/2, then 2/3: interpolation lifts the first
    scores, labels = np.array([[3.0], [2], [1]]), np.array([[-1], [1], [1]])
    assert average_precision(scores, labels, "sklearn") == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision(scores, labels, "area") == pytest.approx(2 / 3)
    assert average_precision(scores, labels, "voc2007") == pytest.approx(2 / 3)


def test_infinite_scores_rank_and_a_nan_that_counts_is_refused():
    labels = np.array([[1], [-1], [1]])
    assert average_precision(np.array([[np.inf], [0], [-np.inf]]), labels, "sklearn") == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match="NaN"):
        average_precision(np.array([[np.nan], [0], [1]]), labels, "area")
    assert average_precision(np.array([[np.nan], [0], [1.0]]), np.array([[0], [-1], [1]]), "area") == 1.0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        average_precision(np.zeros((3, 2)), np.zeros((3, 1)), "area")


def test_bootstrap_counts_draw_every_image_equally_often_and_repeat_with_the_seed():
    counts = bootstrap_counts(50, 2000, seed=3)
    np.testing.assert_array_equal(counts.sum(axis=0), 50)
    assert counts.mean(axis=1) == pytest.approx(np.ones(50), abs=0.1)
    np.testing.assert_array_equal(counts, bootstrap_counts(50, 2000, seed=3))
    assert not np.array_equal(counts, bootstrap_counts(50, 2000, seed=4))


def test_the_bootstrap_spreads_as_much_as_fresh_test_sets_do():
    rng = np.random.default_rng(0)

    def draw(n):
        labels = np.where(rng.random((n, 1)) < 0.2, 1, -1)
        return rng.normal(size=(n, 1)) + labels, labels

    fresh = [average_precision(*draw(600), "area")[0] for _ in range(400)]
    counts = bootstrap_counts(600, 400, seed=0)
    spreads = [resampled_average_precision(*draw(600), ["area"], counts)["area"].std() for _ in range(10)]
    assert np.mean(spreads) == pytest.approx(np.std(fresh), rel=0.15)


@pytest.mark.perf
def test_three_models_of_voc_size_take_seconds():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((4952, 20)) < np.r_[0.41, np.full(19, 0.055)], 1, -1)
    start = time.perf_counter()
    counts = bootstrap_counts(4952, 1000, seed=0)
    for _ in range(3):
        resampled_average_precision(rng.normal(size=labels.shape) + labels, labels, PROTOCOLS, counts)
    assert time.perf_counter() - start < 20


def test_map_leaves_out_difficult_labels_and_classes_without_positives():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 3)), rng.choice([-1, 0, 1], (50, 3)).astype(np.int8)
    labels[:, 2] = -1
    expected = [
        average_precision_score(labels[labels[:, c] != 0, c], logits[labels[:, c] != 0, c]) for c in (0, 1)
    ]
    assert mean_average_precision(logits, labels, "sklearn") == pytest.approx(np.mean(expected))


def test_map_without_any_positive_is_no_number():
    assert np.isnan(mean_average_precision(np.zeros((2, 2)), np.full((2, 2), -1), "sklearn"))

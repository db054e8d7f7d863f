import numpy as np
import pytest
from sklearn import linear_model

from pool5.probe.logistic_regression import LogisticRegression


def features_and_targets(n=400, d=60, classes=6, seed=0, dtype=np.float64):
    """Non-negative, L2-normalised features with a falling spectrum, and masked, unbalanced targets."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 20)) * np.arange(1, 21) ** -0.7
    features = np.maximum(hidden @ rng.normal(size=(20, d)) + 0.2 * rng.normal(size=(n, d)), 0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = hidden[:, :classes] / hidden[:, :classes].std(axis=0) + rng.normal(size=(n, classes))
    targets = np.where(scores > np.linspace(0.2, 2.2, classes), 1, -1)
    targets[rng.random(targets.shape) < 0.05] = 0
    return features.astype(dtype), targets


def by_sklearn(features, targets, C):
    kept = targets != 0
    model = linear_model.LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10)
    return model.fit(features[kept], targets[kept])


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0, 10_000.0])
def test_it_finds_scikit_learns_solution(C):
    features, targets = features_and_targets()
    found = LogisticRegression(features).fit(targets, np.full(6, C), tolerance=1e-7)
    for k in range(6):
        expected = by_sklearn(features, targets[:, k], C)
        scale = np.abs(expected.coef_).max()
        np.testing.assert_allclose(found.weight[k], expected.coef_[0], atol=1e-4 * scale)
        np.testing.assert_allclose(found.bias[k], expected.intercept_[0], atol=1e-4 * max(scale, 1))
        logits = expected.decision_function(features)
        np.testing.assert_allclose(found.logits(features)[:, k], logits, atol=1e-4 * np.abs(logits).max())


def test_more_dimensions_than_rows_and_single_precision_agree_too():
    features, targets = features_and_targets(n=100, d=300, dtype=np.float32)
    found = LogisticRegression(features).fit(targets, np.full(6, 30.0), tolerance=1e-5)
    assert found.weight.dtype == np.float32
    for k in range(6):
        expected = by_sklearn(features.astype(np.float64), targets[:, k], 30.0).decision_function(features)
        np.testing.assert_allclose(found.logits(features)[:, k], expected, atol=2e-3 * np.abs(expected).max())


def test_each_column_is_solved_as_if_it_were_alone():
    features, targets = features_and_targets()
    C = np.array([0.1, 1, 10, 100, 1000, 1])
    model = LogisticRegression(features)
    together = model.fit(targets, C, tolerance=1e-8)
    for k in range(6):
        alone = model.fit(targets[:, [k]], C[[k]], tolerance=1e-8)
        np.testing.assert_allclose(together.weight[k], alone.weight[0], rtol=1e-5, atol=1e-5)


def test_a_warm_start_leads_to_the_same_solution():
    features, targets = features_and_targets()
    model = LogisticRegression(features)
    cold = model.fit(targets, np.full(6, 50.0), tolerance=1e-8)
    warm = model.fit(targets, np.full(6, 50.0), start=model.fit(targets, np.full(6, 1.0)), tolerance=1e-8)
    np.testing.assert_allclose(warm.weight, cold.weight, rtol=1e-4, atol=1e-5)


def test_a_left_out_row_is_as_if_it_were_not_there():
    features, targets = features_and_targets()
    targets[300:] = 0
    model = LogisticRegression(features)
    short = LogisticRegression(features[:300]).fit(targets[:300], np.full(6, 10.0), tolerance=1e-8)
    masked = model.fit(targets, np.full(6, 10.0), tolerance=1e-8)
    np.testing.assert_allclose(masked.weight, short.weight, rtol=1e-4, atol=1e-5)


def test_the_same_input_has_the_same_bytes():
    features, targets = features_and_targets(dtype=np.float32)
    a, b = (LogisticRegression(features).fit(targets, np.full(6, 10.0)) for _ in range(2))
    assert a.weight.tobytes() == b.weight.tobytes()
    assert a.bias.tobytes() == b.bias.tobytes()


def test_a_column_without_positives_is_refused():
    features, targets = features_and_targets()
    targets[:, 2] = np.minimum(targets[:, 2], 0)
    with pytest.raises(ValueError, match="lacks positives"):
        LogisticRegression(features).fit(targets, np.ones(6))


def test_features_that_are_all_the_same_leave_the_log_odds():
    features = np.repeat(np.random.default_rng(0).random((1, 64), np.float32), 40, axis=0)
    targets = np.where(np.arange(40)[:, None] < 25, 1, -1)
    found = LogisticRegression(features).fit(targets, np.array([1000.0]), tolerance=1e-6)
    assert found.logits(features[:1])[0, 0] == pytest.approx(np.log(25 / 15), abs=1e-4)

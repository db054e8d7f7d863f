import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model

from pool5.probe.logistic_regression import LogisticRegression
from pool5.probe.regularisation import assign_folds, choose_regularisation, held_out_logits


def scene(n=300, d=40, seed=0, positives=(0.5, 0.3, 0.1)):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = features[:, : len(positives)] + 0.15 * rng.normal(size=(n, len(positives)))
    labels = np.where(scores > np.quantile(scores, 1 - np.array(positives), axis=0).diagonal(), 1, -1)
    labels[rng.random(labels.shape) < 0.05] = 0
    return features, labels


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 7), st.integers(0, 1000), st.integers(2, 60))
def test_every_fold_is_trained_on_both_kinds_as_soon_as_there_are_two_of_each(folds, seed, n):
    labels = np.random.default_rng(seed).choice([-1, 0, 1], (n, 3))
    fold_of = assign_folds(labels, folds, seed)
    assert fold_of.min() >= 0
    assert fold_of.max() < folds
    for k in range(3):
        for value in (1, -1):
            sizes = np.bincount(fold_of[labels[:, k] == value, k], minlength=folds)
            assert sizes.max() - sizes.min() <= 1
            if sizes.sum() >= 2:
                assert (sizes.sum() - sizes > 0).all()


def test_held_out_logits_come_from_fits_that_have_not_seen_the_row():
    features, labels = scene()
    grid = np.array([0.5, 20.0])
    found, unsolved = held_out_logits(LogisticRegression(features), features, labels, grid, folds=3, seed=0)
    assert not unsolved.any()
    fold_of = assign_folds(labels, 3, 0)
    for i, C in enumerate(grid):
        for k in range(3):
            for fold in range(3):
                held_out = fold_of[:, k] == fold
                seen = ~held_out & (labels[:, k] != 0)
                model = linear_model.LogisticRegression(C=C, tol=1e-8, max_iter=5000)
                model.fit(features[seen], labels[seen, k])
                expected = model.decision_function(features[held_out])
                np.testing.assert_allclose(
                    found[i][held_out, k], expected, atol=0.01 * np.abs(expected).max()
                )


def test_classes_share_a_c_that_is_neither_starved_nor_overfitted():
    features, labels = scene()
    grid = (1e-4, 1.0, 1e5)
    choice = choose_regularisation(LogisticRegression(features), features, labels, grid, folds=5, seed=0)
    assert choice.shared == 1.0
    assert choice.log_loss.argmin() == 1
    assert set(choice.C) <= set(grid)


def test_a_class_whose_own_data_speak_clearly_gets_another_c():
    rng = np.random.default_rng(0)
    # six classes are pure chance and lose by every step away from zero; the last is plain to see, but only
    # with a large weight, which a small C forbids
    features = np.column_stack([rng.normal(size=(400, 40)), 0.02 * rng.normal(size=400)])
    noise = rng.choice([-1, 1], (400, 6))
    plain = np.where(features[:, -1] > 0.01, 1, -1)
    labels = np.column_stack([noise, plain])
    grid = (1e-3, 1e4)
    choice = choose_regularisation(LogisticRegression(features), features, labels, grid, folds=3, seed=0)
    assert choice.shared == 1e-3
    assert choice.C[-1] == 1e4
    assert (choice.C[:-1] == 1e-3).sum() >= 5


def test_the_order_of_the_grid_changes_nothing_but_the_order_of_the_losses():
    features, labels = scene()
    model = LogisticRegression(features)
    up = choose_regularisation(model, features, labels, (0.1, 1.0, 10.0), folds=3, seed=1)
    down = choose_regularisation(model, features, labels, (10.0, 1.0, 0.1), folds=3, seed=1)
    np.testing.assert_array_equal(up.C, down.C)
    np.testing.assert_array_equal(up.log_loss, down.log_loss[::-1])


@pytest.mark.parametrize("rare", [2, 3])
def test_two_positives_are_enough_to_be_cross_validated(rare):
    features, labels = scene()
    labels[:, 2] = -1
    labels[:rare, 2] = 1
    choice = choose_regularisation(LogisticRegression(features), features, labels, (1.0, 10.0), 5, seed=0)
    assert np.isfinite(choice.ap).all()

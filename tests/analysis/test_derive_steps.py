"""The steps of derived layers, by themselves and beside scikit-learn's."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from pool5.analysis import derived_layer
from pool5.analysis.derive_steps import STEPS
from pool5.analysis.derived_layer import fit_steps, width_after
from pool5.params import sections

ALONE = {"l2": ("l2",), "center": ("center",), "pca": ({"pca": 3},), "whiten": ({"pca": 3}, "whiten")}


def rows(count: int = 300, width: int = 40, seed: int = 0) -> np.ndarray:
    """Rows around a mean, some directions with much more variance than others; float32, as layers are."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.standard_normal((width, width)))[0]
    scales = 4.0 * 0.9 ** np.arange(width)
    return (rng.standard_normal((count, width)) * scales @ turned + 2).astype(np.float32)


def up_to_sign(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return found * np.sign((found * wanted).sum(axis=0))


def test_params_know_the_steps_that_there_are():
    names, numbered = get_args(sections.Step)
    (by_number,) = get_args(get_args(get_args(numbered)[0])[0])
    assert {*get_args(names), by_number} == set(STEPS)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    "few", [np.zeros((5, 8)), np.ones((5, 8)), np.arange(8.0)[None]], ids=["zeros", "the same", "one"]
)
def test_a_step_gives_finite_values_of_rows_that_say_nothing(name, few):
    steps = tuple({"pca": 1} if isinstance(step, dict) else step for step in ALONE[name])
    assert np.isfinite(fit_steps(few.astype(np.float32), steps).apply(few)).all()


@pytest.mark.parametrize("name", STEPS)
def test_a_step_gives_the_width_that_it_says_and_takes_row_by_row(name):
    given = rows()
    fit = fit_steps(given, ALONE[name])
    made = fit.apply(given)
    assert made.shape == (300, width_after(ALONE[name], 40))
    np.testing.assert_allclose(fit.apply(given[7:8]), made[7:8], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_learns_the_same_whatever_the_number_of_threads(name):
    learned = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            with threadpool_limits(1, "blas"):  # as `derive_layer` has it
                fit = fit_steps(rows(2000, 64), ALONE[name])
            learned.append([tensor.tobytes() for each in fit.learned for tensor in each.values()])
    assert learned[0] == learned[1]


def test_l2_pca_and_whiten_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(derived_layer, "_BLOCK_VALUES", 1000)  # so that there are many blocks
    train, test = rows(), rows(50, seed=1)
    fit = fit_steps(train, ("l2", {"pca": 16}, "whiten"))
    reference = PCA(16, whiten=True, svd_solver="full").fit(normalize(train.astype(np.float64)))
    wanted = reference.transform(normalize(test.astype(np.float64)))
    found = fit.apply(test)
    np.testing.assert_allclose(up_to_sign(found, wanted), wanted, rtol=0, atol=1e-5)


def test_the_largest_value_of_a_direction_is_positive():
    components = fit_steps(rows(), ({"pca": 40},)).learned[0]["components"]
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(40), largest] > 0).all()
    np.testing.assert_allclose(components @ components.T, np.eye(40), atol=1e-12)


def test_pca_of_full_width_is_a_rotation():
    given = rows()
    made = fit_steps(given, ({"pca": 40},)).apply(given)
    apart = [np.linalg.norm(each[:, None] - each[None], axis=2) for each in (given[:80], made[:80])]
    np.testing.assert_allclose(apart[1], apart[0], atol=1e-5)


def test_whiten_leaves_nothing_of_a_direction_that_is_rounding_alone():
    few = rows(200, 3).astype(np.float64) @ np.random.default_rng(2).standard_normal((3, 12))
    fit = fit_steps(few, ({"pca": 12}, "whiten"))
    made = fit.apply(few)
    np.testing.assert_allclose(made[:, :3].var(axis=0, ddof=1), 1, rtol=1e-9)
    assert (made[:, 3:] == 0).all()


@pytest.mark.parametrize(
    ("steps", "width", "count", "told"),
    [
        (({"pca": 41},), 40, 300, "pca: 41 components of rows of 40 values; 40 is the most"),
        (({"pca": 31},), 40, 30, "pca: 31 components of 30 training images; 30 is the most"),
        (({"pca": 20}, "l2", {"pca": 30}), 40, 300, "pca: 30 components of rows of 20 values; 20 is"),
        (({"pca": 20},), 10_000, None, "pca: of rows of 10000 values; 8192 is the most: take a narrower"),
    ],
)
def test_more_components_than_there_can_be_are_told(steps, width, count, told):
    with pytest.raises(ValueError, match=told):
        width_after(steps, width, count)

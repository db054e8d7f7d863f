"""Scores to probabilities: a sigmoid for each class, fitted on images that the probe has not learned from.

Platt 1999, "Probabilistic outputs for support vector machines", with the targets that he takes in place of 0
and 1, so that a few examples do not make a probability of one; the minimum is found by Newton's steps, as in
Lin, Lin and Weng 2007, "A note on Platt's probabilistic outputs". scikit-learn's `CalibratedClassifierCV`
does the same for one class.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import expit

_STEPS = 100
_ENOUGH = 1e-9  # of the gradient, per image


@dataclasses.dataclass(frozen=True)
class Sigmoids:
    """The probability of class k is `expit(slope[k] * score + intercept[k])`, both (K,) float64.

    A class whose scores do not rise with its labels has slope 0: its share of the images, for every image.
    One without positives or without negatives has NaN.
    """

    slope: np.ndarray
    intercept: np.ndarray

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(N, K) float64 of (N, K) scores."""
        values: np.ndarray = expit(self.slope * scores + self.intercept)
        return values


def fit_sigmoids(scores: np.ndarray, labels: np.ndarray) -> Sigmoids:
    """Fit a sigmoid for each class.

    Parameters
    ----------
    scores : (N, K) float array
        Held out; a class may be NaN.
    labels : (N, K) int array
        1 present, -1 absent, 0 left out of that class.
    """
    known = labels != 0
    fitted = [_fit(scores[known[:, k], k], labels[known[:, k], k]) for k in range(labels.shape[1])]
    slope, intercept = np.array(fitted, np.float64).reshape(-1, 2).T
    return Sigmoids(slope, intercept)


def cross_fitted(scores: np.ndarray, labels: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """The probability of every image by the sigmoid that was fitted without its fold.

    Parameters
    ----------
    scores, labels : as in `fit_sigmoids`
    fold_of : (N, K) int array
        The fold of each image, class by class.

    Returns
    -------
    (N, K) float64 array
    """
    probabilities = np.full(labels.shape, np.nan)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        fitted = fit_sigmoids(scores, np.where(inside, 0, labels))
        probabilities[inside] = fitted.probabilities(scores)[inside]
    return probabilities


def _fit(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The slope and intercept of one class."""
    positives, negatives = int((labels == 1).sum()), int((labels == -1).sum())
    if not positives or not negatives or not np.isfinite(scores).all():
        return np.nan, np.nan
    prior = np.log((positives + 1) / (negatives + 1))
    centre, spread = scores.mean(dtype=np.float64), scores.std(dtype=np.float64)
    if spread == 0:
        return 0.0, float(prior)
    design = np.stack([(scores - centre) / spread, np.ones(len(scores))])
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    point = _newton(design, targets, np.array([0.0, prior]))
    if point[0] <= 0:
        return 0.0, float(prior)
    return float(point[0] / spread), float(point[1] - point[0] * centre / spread)


def _newton(design: np.ndarray, targets: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The minimum of the cross-entropy, from `point`; a step that would raise it is halved."""

    def loss(at: np.ndarray) -> float:
        margins = at @ design
        return float((np.logaddexp(0, margins) - targets * margins).mean())

    here = loss(point)
    for _ in range(_STEPS):
        shown = expit(point @ design)
        gradient = design @ (shown - targets) / len(targets)
        if np.abs(gradient).max() < _ENOUGH:
            break
        bend = (design * (shown * (1 - shown))) @ design.T / len(targets) + 1e-12 * np.eye(2)
        step = np.linalg.solve(bend, gradient)
        while (there := loss(point - step)) > here and np.abs(step).max() > _ENOUGH:
            step /= 2
        point, here = point - step, there
    return point

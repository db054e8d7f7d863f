"""Logistic regression for many classes at once: one product with the features serves all of them.

The objective of each class is scikit-learn's, 0.5 |w|² + C Σ log(1 + exp(-y (w·x + b))), with the
intercept left free, and label 0 leaves a row out. Folds of a cross-validation are columns too: a held-out
row has label 0 there.

The solver is L-BFGS (Nocedal & Wright, Numerical Optimization, 2nd ed., algorithm 7.5) with all columns side
by side. Two things make it fast on features of thousands of dimensions. The inverse Hessian starts from
its value for equal curvature everywhere, exact on the leading principal directions, so that large C needs
few steps. And a line search needs no product with the features: the margins move along a line as well.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.utils.extmath import randomized_svd

_MEMORY = 10
_DIRECTIONS = 256  # principal directions that the first inverse Hessian knows
_MAX_STEPS = 500
_LINE_STEPS = 8


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
    """Logits are `features @ weight.T + bias`.

    Attributes
    ----------
    weight : (K, D) float array
    bias : (K,) float array
    unsolved : tuple of int
        Columns that had not converged when their steps ended: their weights are those of the last step.
    """

    weight: np.ndarray
    bias: np.ndarray
    unsolved: tuple[int, ...] = ()

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, K) logits of (N, D) features."""
        return np.asarray(features @ self.weight.T + self.bias)


class LogisticRegression:
    """Logistic regressions on one matrix of features, whose preparation they share.

    Parameters
    ----------
    features : (N, D) float32 or float64 array
        The results have this precision.
    """

    def __init__(self, features: np.ndarray) -> None:
        self._mean = features.mean(axis=0, dtype=np.float64).astype(features.dtype)
        # centred, the intercept and the weights hardly pull on each other; the last column is the intercept's
        self._design = np.empty((features.shape[0], features.shape[1] + 1), features.dtype)
        np.subtract(features, self._mean, out=self._design[:, :-1])
        self._design[:, -1] = 1
        self._directions, self._variances = _principal_directions(self._design[:, :-1])

    def fit(
        self,
        targets: np.ndarray,
        C: np.ndarray,
        start: LinearClassifier | None = None,
        tolerance: float = 1e-4,
    ) -> LinearClassifier:
        """Solve for every column of `targets`.

        Parameters
        ----------
        targets : (N, K) int array
            1 positive, -1 negative, 0 left out. Every column holds both a 1 and a -1.
        C : (K,) float array
            Inverse strength of the penalty, as in `sklearn.linear_model.LogisticRegression`.
        start : LinearClassifier, optional
            Where to start from, as a fit for another C.
        tolerance : float
            A column is solved when its gradient has fallen to this part of the gradient at zero weights; it
            has 500 steps for that.

        Returns
        -------
        LinearClassifier

        Raises
        ------
        ValueError
            If a column lacks positives or negatives.
        """
        dtype = self._design.dtype
        positives, counted = (targets == 1).sum(axis=0), (targets != 0).sum(axis=0)
        if ((positives == 0) | (positives == counted)).any():
            raise ValueError("a column of the targets lacks positives or negatives")
        problem = _Problem(
            design=self._design,
            signs=targets.astype(dtype),
            scale=(1 / counted).astype(dtype),
            penalty=(1 / (np.asarray(C) * counted)).astype(dtype),
        )
        zero = np.zeros((self._design.shape[1], targets.shape[1]), dtype)
        zero[-1] = np.log(positives / (counted - positives))
        slope = np.linalg.norm(problem.gradient(zero, problem.margins(zero)), axis=0)
        # features that are all the same have no gradient but rounding: there is nothing to solve
        enough = np.where(slope > np.finfo(dtype).eps, tolerance * slope, slope)
        if start is None:
            point = zero
        else:
            point = np.vstack([start.weight.T, start.bias + start.weight @ self._mean]).astype(dtype)
        solution, unsolved = self._minimise(problem, point, enough)
        weight, bias = np.ascontiguousarray(solution[:-1].T), solution[-1] - self._mean @ solution[:-1]
        return LinearClassifier(weight, bias, tuple(unsolved.tolist()))

    def _minimise(
        self, problem: _Problem, point: np.ndarray, enough: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The minimum of every column, and the columns in which it was not reached."""
        solution = point.copy()
        columns = np.arange(point.shape[1])  # those not solved yet
        margins = problem.margins(point)
        gradient = problem.gradient(point, margins)
        history: list[tuple[np.ndarray, np.ndarray]] = []
        for step in range(_MAX_STEPS):
            unsolved = ~(np.linalg.norm(gradient, axis=0) <= enough)  # one that is not a number is not solved
            if not unsolved.all():
                solution[:, columns[~unsolved]] = point[:, ~unsolved]
                columns, enough, problem = columns[unsolved], enough[unsolved], problem.take(unsolved)
                point, margins, gradient = point[:, unsolved], margins[:, unsolved], gradient[:, unsolved]
                history = [(s[:, unsolved], y[:, unsolved]) for s, y in history]
            if len(columns) == 0:
                return solution, columns
            direction = -self._inverse_hessian(gradient, problem, margins, history)
            moved = problem.margins(direction)
            length = problem.line_search(point, direction, margins, moved)
            change = length * direction
            point, margins, previous = point + change, margins + length * moved, gradient
            if step % 20 == 19:
                margins = problem.margins(point)  # sums of many small moves lose their last digits
            gradient = problem.gradient(point, margins)
            history = [*history, (change, gradient - previous)][-_MEMORY:]
        # what has run into infinity stays where it started
        solution[:, columns] = np.where(np.isfinite(point).all(axis=0), point, solution[:, columns])
        return solution, columns

    def _inverse_hessian(
        self,
        gradient: np.ndarray,
        problem: _Problem,
        margins: np.ndarray,
        history: list[tuple[np.ndarray, np.ndarray]],
    ) -> np.ndarray:
        """The two-loop recursion for every column; (D + 1, K)."""
        vector = gradient.copy()
        applied = []
        for change, bend in reversed(history):
            curvature = _dot(change, bend)
            usable = curvature > np.finfo(vector.dtype).tiny
            inverse = np.divide(1, curvature, out=np.zeros_like(curvature), where=usable)
            factor = inverse * _dot(change, vector)
            vector -= factor * bend
            applied.append((change, bend, inverse, factor))
        vector = self._first_inverse_hessian(vector, problem, problem.mean_curvature(margins))
        for change, bend, inverse, factor in reversed(applied):
            vector += (factor - inverse * _dot(bend, vector)) * change
        return vector

    def _first_inverse_hessian(
        self, vector: np.ndarray, problem: _Problem, curvature: np.ndarray
    ) -> np.ndarray:
        """What the inverse Hessian is if the loss bends alike at every row, in the leading directions."""
        weights = vector[:-1]
        rest = 1 / (problem.penalty + curvature * self._variances[-1])
        leading = 1 / (problem.penalty + curvature * self._variances[:, None]) - rest
        result = np.empty_like(vector)
        result[:-1] = rest * weights + self._directions @ (leading * (self._directions.T @ weights))
        result[-1] = vector[-1] / curvature
        return result


@dataclasses.dataclass(frozen=True)
class _Problem:
    """Mean loss and penalty of K columns, each divided by C and by its number of rows."""

    design: np.ndarray  # (N, D + 1)
    signs: np.ndarray  # (N, K): 1, -1, 0
    scale: np.ndarray  # (K,): one over the rows that count
    penalty: np.ndarray  # (K,)

    def take(self, columns: np.ndarray) -> _Problem:
        return _Problem(self.design, self.signs[:, columns], self.scale[columns], self.penalty[columns])

    def margins(self, point: np.ndarray) -> np.ndarray:
        """Signed logits (N, K): positive where the answer is right, 0 where a row does not count."""
        return np.asarray(self.signs * (self.design @ point))

    def gradient(self, point: np.ndarray, margins: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.design.T @ (-self.scale * self.signs * _sigmoid(-margins))
        result[:-1] += self.penalty * point[:-1]
        return result

    def mean_curvature(self, margins: np.ndarray) -> np.ndarray:
        """The mean over the rows of the loss's second derivative, (K,)."""
        wrong = _sigmoid(-margins)
        bend = self.scale * _dot(wrong * np.abs(self.signs), 1 - wrong)
        return np.asarray(np.maximum(bend, 1e-7))

    def line_search(
        self, point: np.ndarray, direction: np.ndarray, margins: np.ndarray, moved: np.ndarray
    ) -> np.ndarray:
        """The step (K,) at which each column's slope along its direction has nearly vanished."""
        pull, stiffness = _dot(point[:-1], direction[:-1]), _dot(direction[:-1], direction[:-1])
        at_start = np.abs(self.penalty * pull - self.scale * _dot(_sigmoid(-margins), moved))
        length, low = np.ones_like(self.scale), np.zeros_like(self.scale)
        high = np.full_like(self.scale, np.inf)
        for _ in range(_LINE_STEPS):
            wrong = _sigmoid(-(margins + length * moved))
            slope = self.penalty * (pull + length * stiffness) - self.scale * _dot(wrong, moved)
            if (np.abs(slope) <= 0.1 * at_start).all():
                break
            bend = self.penalty * stiffness + self.scale * _dot(wrong * (1 - wrong) * moved, moved)
            low, high = np.where(slope < 0, length, low), np.where(slope > 0, length, high)
            newton = length - slope / np.maximum(bend, np.finfo(bend.dtype).tiny)
            inside = (newton > low) & (newton < high)
            length = np.where(inside, newton, np.where(np.isinf(high), 2 * length, (low + high) / 2))
        return length


def _principal_directions(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The leading principal directions (D, r) and the variances along them (r,), decreasing."""
    rank = min(_DIRECTIONS, *centred.shape)
    _, values, rows = randomized_svd(centred, rank, n_iter=2, random_state=0)
    return np.ascontiguousarray(rows.T), values**2 / len(centred)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Column by column."""
    return np.asarray(np.einsum("nk,nk->k", a, b))

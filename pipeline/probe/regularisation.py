"""How strongly each class is regularised: chosen by cross-validation on the training split alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..measures.average_precision import average_precision, resampled_average_precision
from ..measures.bootstrap import bootstrap_counts
from ..progress import progress
from .logistic_regression import LogisticRegression

_RESAMPLES = 200
_STANDARD_ERRORS = 2.0
_TOLERANCE = 1e-3  # held-out scores settle long before the weights do


@dataclasses.dataclass(frozen=True)
class Regularisation:
    """The chosen C of every class, and what the choice rests on.

    Attributes
    ----------
    C : (K,) float64
    shared : float
        The C with the lowest held-out log-loss over all classes.
    ap : (K,) float64
        Held-out AP (`sklearn` protocol) at the chosen C.
    log_loss : (len(grid),) float64
        Held-out log-loss at each C of the grid, mean over classes.
    unsolved : (K,) bool
        Whether a fit of the class had not converged when its steps ended.
    """

    C: np.ndarray
    shared: float
    ap: np.ndarray
    log_loss: np.ndarray
    unsolved: np.ndarray


def choose_regularisation(
    model: LogisticRegression,
    features: np.ndarray,
    labels: np.ndarray,
    grid: Sequence[float],
    folds: int,
    seed: int,
) -> Regularisation:
    """Choose C for every class by cross-validation, with folds stratified for each class.

    All classes share the C with the lowest mean log-loss on held-out rows, unless a class's own data say
    otherwise: it takes the C with its highest held-out AP if that AP exceeds the one at the shared C by more
    than two standard errors of the difference (paired bootstrap over images; the one-standard-error rule
    of Breiman et al. 1984, made stricter because the best of several was picked). A dozen positives cannot
    tell six values apart: left to themselves, rare classes pick almost at random.

    Parameters
    ----------
    model : LogisticRegression
        Prepared on `features`.
    features : (N, D) float array
    labels : (N, K) int array
        1 present, -1 absent, 0 left out; every column holds at least two of 1 and two of -1.
    grid : sequence of float
        The values of C to try.
    folds : int
    seed : int
        Of the folds and the bootstrap.
    """
    ordered = np.sort(np.asarray(grid, np.float64))
    scores, unsolved = held_out_logits(model, features, labels, ordered, folds, seed)
    losses = np.stack([_log_loss(s, labels) for s in scores])  # (len(grid), K)
    shared = int(losses.mean(axis=1).argmin())
    aps = np.stack([average_precision(s, labels, "sklearn") for s in scores])
    counts = bootstrap_counts(len(labels), _RESAMPLES, seed)
    resampled = np.stack(
        [resampled_average_precision(s, labels, ["sklearn"], counts)["sklearn"] for s in scores]
    )
    columns = np.arange(labels.shape[1])
    best = aps.argmax(axis=0)
    gain = aps[best, columns] - aps[shared]
    error = np.nanstd(resampled[best, columns] - resampled[shared], axis=1)
    chosen = np.where(gain > _STANDARD_ERRORS * error, best, shared)
    return Regularisation(
        C=ordered[chosen],
        shared=float(ordered[shared]),
        ap=aps[chosen, columns],
        log_loss=losses.mean(axis=1)[np.searchsorted(ordered, grid)],
        unsolved=unsolved,
    )


def held_out_logits(
    model: LogisticRegression,
    features: np.ndarray,
    labels: np.ndarray,
    grid: np.ndarray,
    folds: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of every row from the classifier that has not seen it, and the classes not solved.

    `grid` increases: each fit starts from the one before it. A row of it may be a C for each class, (K,).

    Returns
    -------
    logits : (len(grid), N, K)
    unsolved : (K,) bool
    """
    fold_of = assign_folds(labels, folds, seed)
    # every fold of every class is a column of one solve, in which its held-out rows do not count
    targets = np.concatenate([np.where(fold_of == fold, 0, labels) for fold in range(folds)], axis=1)
    num_rows, num_classes = labels.shape
    scores = np.empty((len(grid), num_rows, num_classes), features.dtype)
    unsolved = np.zeros(num_classes, bool)
    fit = None
    for position, C in enumerate(progress(grid, desc="cross-validation", unit="C")):
        of_columns = np.tile(np.broadcast_to(C, num_classes), folds)
        fit = model.fit(targets, of_columns, start=fit, tolerance=_TOLERANCE)
        unsolved[[column % num_classes for column in fit.unsolved]] = True
        logits = fit.logits(features).reshape(num_rows, folds, num_classes)
        scores[position] = np.take_along_axis(logits, fold_of[:, None, :], axis=1)[:, 0]
    return scores, unsolved


def assign_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold (N, K) that holds each row out, class by class.

    Positives and negatives of a class are spread evenly, so that two of each are enough for every fold to
    be trained on both.
    """
    rng = np.random.default_rng(seed)
    fold_of = np.empty(labels.shape, np.int64)
    for k in range(labels.shape[1]):
        for value in (1, -1, 0):
            rows = rng.permutation(np.flatnonzero(labels[:, k] == value))
            fold_of[rows, k] = (np.arange(len(rows)) + rng.integers(folds)) % folds
    return fold_of


def _log_loss(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean log-loss of every class over the rows that count, (K,)."""
    losses = np.logaddexp(0, -labels * logits.astype(np.float64)) * (labels != 0)
    return np.asarray(losses.sum(axis=0) / (labels != 0).sum(axis=0))

"""The steps from a stored layer to a derived one: what each learns from training rows, and what it does.

PCA is that of Jolliffe, Principal Component Analysis (2nd ed., section 2), from the covariance, as
scikit-learn's `PCA(svd_solver="covariance_eigh")` has it: a million rows go through in blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np

# part of the key of a derived layer: raise it with every change that changes values, and `derive` in
# recipes.yaml with it
RECIPE_VERSION = 1
_WIDEST = 8192  # values whose covariance is taken: three arrays of 512 MiB

Tensors = Mapping[str, np.ndarray]


class Rows(Protocol):
    """The training rows as the steps before have left them, some at a time, as often as they are asked."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def width(self) -> int:
        """Values of each."""
        ...

    def blocks(self) -> Iterable[np.ndarray]:
        """(n, width) float64 arrays, in order; always the same ones."""
        ...


@dataclasses.dataclass(frozen=True)
class StepKind:
    """A kind of step; a line in `STEPS`.

    What is learned comes from the training rows alone, and what is made of a row from that row and what was
    learned. The same rows give the same bytes, whatever the number of threads. Rows that are all the same, a
    single row, and rows of zeros are no errors: all that comes out is finite.

    Attributes
    ----------
    fit : function
        Of the rows and the step's number (None where it has none): what it learns, as float64 arrays.
    apply : function
        Of (n, D) float64 rows and what was learned: (n, D') float64 rows.
    width : function
        Of the number, D and how many training rows there are (None: not known yet): D'; `ValueError` with
        what a user is to be told if that cannot be.
    """

    fit: Callable[[Rows, int | None], Tensors]
    apply: Callable[[np.ndarray, Tensors], np.ndarray]
    width: Callable[[int | None, int, int | None], int] = lambda _, width, __: width


def _learn_nothing(rows: Rows, number: int | None) -> Tensors:
    return {}


def _to_length_one(rows: np.ndarray, learned: Tensors) -> np.ndarray:
    """A row of zeros stays one."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def _mean(rows: Rows, number: int | None = None) -> Tensors:
    total = np.zeros(rows.width)
    for block in rows.blocks():
        total += block.sum(axis=0)
    return {"mean": total / max(rows.count, 1)}


def _less_mean(rows: np.ndarray, learned: Tensors) -> np.ndarray:
    return rows - learned["mean"]


def _principal_components(rows: Rows, number: int | None) -> Tensors:
    """The mean, and the directions of the largest variances in their order.

    Of each direction's two signs the one is taken that makes its largest value positive.
    """
    mean = _mean(rows)["mean"]
    covariance = np.zeros((rows.width, rows.width))
    for block in rows.blocks():
        centred = block - mean
        covariance += centred.T @ centred
    covariance /= max(rows.count - 1, 1)
    _, vectors = np.linalg.eigh(covariance)
    components = vectors.T[::-1][:number]
    largest = np.abs(components).argmax(axis=1)[:, None]
    return {"components": components * np.sign(np.take_along_axis(components, largest, 1)), "mean": mean}


def _projected(rows: np.ndarray, learned: Tensors) -> np.ndarray:
    return np.asarray((rows - learned["mean"]) @ learned["components"].T)


def _components(number: int | None, width: int, rows: int | None) -> int:
    assert number is not None
    most = width if rows is None else min(width, rows)
    if number > most:
        few = f"{rows} training images" if most == rows else f"rows of {width} values"
        raise ValueError(f"pca: {number} components of {few}; {most} is the most")
    if width > _WIDEST:
        raise ValueError(
            f"pca: of rows of {width} values; {_WIDEST} is the most: take a narrower layer, or pool this one"
        )
    return number


def _inverse_deviations(rows: Rows, number: int | None) -> Tensors:
    """One over the standard deviation of each component, which the step before has centred.

    0 where the variance is nothing but rounding beside the largest one, by the rule that NumPy's
    `matrix_rank` has: scaled up, it would be noise as strong as what means something.
    """
    variances = np.zeros(rows.width)
    for block in rows.blocks():
        variances += np.einsum("nd,nd->d", block, block)
    variances /= max(rows.count - 1, 1)
    least = variances.max() * rows.width * np.finfo(np.float64).eps
    return {"scale": np.divide(1, np.sqrt(variances), out=np.zeros_like(variances), where=variances > least)}


def _scaled(rows: np.ndarray, learned: Tensors) -> np.ndarray:
    return np.asarray(rows * learned["scale"])


STEPS: Mapping[str, StepKind] = {
    "l2": StepKind(_learn_nothing, _to_length_one),
    "center": StepKind(_mean, _less_mean),
    "pca": StepKind(_principal_components, _projected, _components),
    "whiten": StepKind(_inverse_deviations, _scaled),
}

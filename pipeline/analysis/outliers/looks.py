"""Pictures that are blank, dark, bright, blurred, noisy, or of an odd shape.

Each kind asks two questions: is the picture so in an absolute sense, and is it so among the pictures of its
own data set. A set of night scenes has no dark outliers, one of drawings no blank ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from ...datasets.looks import PictureLooks
from ...measures.robust_score import CUT
from ...results.outliers import OddLooks
from .odd_values import Values

Columns = Mapping[str, np.ndarray]
FEWEST = 10  # pictures


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to look.

    Attributes
    ----------
    measure : str
        What is measured, in words.
    value : (columns of looks.csv) -> (N,) float64
    above : bool
        Whether the odd ones have more of it.
    bound : float
        The absolute sense.
    cut : float
        The score beyond which a picture must be as well, among its own data set.
    logarithmic : bool
        Whether scores are of the logarithms.
    """

    measure: str
    value: Callable[[Columns], np.ndarray]
    above: bool
    bound: float
    cut: float = CUT
    logarithmic: bool = False


def _longer_by_shorter(columns: Columns) -> np.ndarray:
    sides = np.stack([columns["width"], columns["height"]])
    return np.asarray(sides.max(axis=0) / sides.min(axis=0))


def _detail(columns: Columns) -> np.ndarray:
    """White noise has 20. By the variance, so that a dark picture is not blurred; 1 each for a blank one."""
    return np.asarray((columns["sharpness"] + 1) / ((255 * columns["contrast"]) ** 2 + 1))


def _size(columns: Columns) -> np.ndarray:
    return np.asarray(np.sqrt(columns["width"] * columns["height"]))


KINDS = {
    "blank": Kind(
        "share of the pixels in the commonest 16 of 256 levels", lambda c: c["plain"], True, 0.98, 0
    ),
    "dark": Kind(
        "level below which 99 % of the pixels are; 0 is black, 1 white",
        lambda c: c["high"] / 255,
        False,
        0.32,
    ),
    "bright": Kind(
        "level below which 5 % of the pixels are; 0 is black, 1 white", lambda c: c["low"] / 255, True, 0.8
    ),
    "blurred": Kind(
        "fine detail: variance of the Laplacian by that of the levels", _detail, False, 0.1, CUT, True
    ),
    "noisy": Kind("fine detail: variance of the Laplacian by that of the levels", _detail, True, 17, 2, True),
    "long": Kind("longer side by shorter side", _longer_by_shorter, True, 2.5, CUT, True),
    "small": Kind("side of a square with as many pixels", _size, False, 100, CUT, True),
}


def examine_looks(pictures: PictureLooks, listed: int) -> tuple[list[OddLooks], list[str]]:
    """The odd pictures of every kind, and what cannot be said."""
    if len(pictures) < FEWEST:
        return [], [f"{len(pictures)} pictures are too few to tell one that looks odd, which takes {FEWEST}"]
    return [_odd(name, kind, pictures, listed) for name, kind in KINDS.items()], []


def _odd(name: str, kind: Kind, pictures: PictureLooks, listed: int) -> OddLooks:
    found = Values(kind.value(pictures.columns), kind.above, kind.logarithmic)
    values = found.values
    absolute = values >= kind.bound if kind.above else values <= kind.bound
    odd = np.flatnonzero(absolute & (found.scores(values) > kind.cut))
    first = odd[np.argsort(-values[odd] if kind.above else values[odd], kind="stable")][:listed]
    return OddLooks(
        kind=name,
        measure=kind.measure,
        above=kind.above,
        bound=float(kind.bound),
        cut=float(kind.cut),
        compared=found.compared,
        beyond=len(odd),
        odd=found.told(values[first], pictures.splits[first].tolist(), pictures.ids[first].tolist()),
    )

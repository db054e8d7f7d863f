"""How far a value lies from the middle of many, in robust standard deviations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CUT = 3.5  # the score from which Iglewicz and Hoaglin (1993) call a value an outlier


class Middle(NamedTuple):
    """Where many values lie.

    Attributes
    ----------
    median : float
    spread : float
        The median absolute deviation times 1.4826, which estimates a normal distribution's standard
        deviation. Where more than half of the values are the same, the mean absolute deviation times 1.2533,
        which does so too; 0 where all are.
    """

    median: float
    spread: float

    def scores(self, values: np.ndarray) -> np.ndarray | None:
        """The modified z-score of each value, float64; None where all that were seen are the same."""
        return (np.asarray(values, np.float64) - self.median) / self.spread if self.spread else None


def middle(values: np.ndarray) -> Middle:
    """The middle of (N,) values, N > 0 (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""
    values = np.asarray(values, np.float64)
    median = float(np.median(values))
    off = np.abs(values - median)
    return Middle(median, float(1.4826 * np.median(off) or 1.2533 * off.mean()))

"""Intervals of many numbers that the same images gave, from what each image does to each."""

from __future__ import annotations

import numpy as np

from ...measures.bootstrap import bootstrap_counts


def resampled(values: np.ndarray, influences: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Each number in each bootstrap resample of the images, to first order.

    An image that a resample has twice gets twice the weight; it is not compared with its own copy, which
    would be at distance 0. All numbers see the same resamples, so differences can be taken within one.

    Parameters
    ----------
    values : (P,) float64
    influences : (N, P) float64
        As `measures.representation.Likeness` has them.
    resamples, seed : int

    Returns
    -------
    (B, P) float64
    """
    weights = bootstrap_counts(len(influences), resamples, seed)
    weights -= 1
    moved: np.ndarray = weights.T @ influences.astype(np.float32)
    return values + moved.astype(np.float64) / len(influences)


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of some draws."""
    lo, hi = np.percentile(drawn, [2.5, 97.5])
    return float(lo), float(hi)

"""What a classifier that knows nothing reaches."""

from __future__ import annotations

import numpy as np


def chance_level(labels: np.ndarray) -> np.ndarray:
    """The AP of a classifier that knows nothing: the prevalence among the images that count.

    Returns
    -------
    (C,) float64 array; NaN for a class with neither positives nor negatives
    """
    positives, counted = (labels == 1).sum(axis=0), (labels != 0).sum(axis=0)
    nowhere = np.full(labels.shape[1], np.nan)
    prevalence: np.ndarray = np.divide(positives, counted, out=nowhere, where=counted > 0)
    return prevalence

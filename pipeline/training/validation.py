"""How good a network is on images that it was not trained on."""

from __future__ import annotations

import numpy as np

from ..measures import average_precision


def mean_average_precision(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean AP(sklearn) over classes, label 0 left out; NaN where no class has a positive image.

    Parameters
    ----------
    logits : (N, C) float
    labels : (N, C) int8
    """
    return average_precision.mean_average_precision(logits, labels, "sklearn")

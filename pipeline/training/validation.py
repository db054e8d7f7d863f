"""How good a network is on images that it was not trained on."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score


def mean_average_precision(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of scikit-learn's average precision, label 0 left out.

    Parameters
    ----------
    logits : (N, C) float
    labels : (N, C) int8

    Returns
    -------
    float
        NaN where no class has a positive image.
    """
    precisions = []
    for column in range(labels.shape[1]):
        known = labels[:, column] != 0
        positive = labels[known, column] == 1
        if positive.any():
            precisions.append(average_precision_score(positive, logits[known, column]))
    return float(np.mean(precisions)) if precisions else float("nan")

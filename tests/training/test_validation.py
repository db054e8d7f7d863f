"""mAP on val."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pool5.training.validation import mean_average_precision


def test_leaves_out_difficult_labels_and_classes_without_positives():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 3)), rng.choice([-1, 0, 1], (50, 3)).astype(np.int8)
    labels[:, 2] = -1
    expected = [
        average_precision_score(labels[labels[:, c] != 0, c], logits[labels[:, c] != 0, c]) for c in (0, 1)
    ]
    assert mean_average_precision(logits, labels) == pytest.approx(np.mean(expected))


def test_no_positive_at_all_is_no_number():
    assert math.isnan(mean_average_precision(np.zeros((2, 2)), np.full((2, 2), -1)))

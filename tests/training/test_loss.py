"""Masked binary cross-entropy."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss

from pool5.training.loss import class_losses, masked_loss


def test_equals_scikit_learns_log_loss_over_the_labels_that_are_known():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, (30, 20)), rng.choice([-1, 0, 1], (30, 20))
    known = labels != 0
    expected = log_loss(labels[known] == 1, 1 / (1 + np.exp(-logits[known])))
    found = masked_loss(torch.tensor(logits), torch.tensor(labels, dtype=torch.int8))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(arrays(np.int8, (4, 3), elements=st.sampled_from([-1, 0, 1])))
def test_a_difficult_only_label_gets_no_gradient(labels):
    logits = torch.randn(4, 3, requires_grad=True)
    masked_loss(logits, torch.from_numpy(labels)).backward()
    assert torch.equal(logits.grad == 0, torch.from_numpy(labels) == 0)
    assert torch.equal(class_losses(logits, torch.from_numpy(labels)) == 0, torch.from_numpy(labels) == 0)


def test_nothing_known_is_no_loss_and_not_nan():
    assert masked_loss(torch.randn(2, 3), torch.zeros(2, 3, dtype=torch.int8)) == 0


def test_large_logits_do_not_overflow():
    logits = torch.tensor([[1e4, -1e4]])
    assert masked_loss(logits, torch.tensor([[1, -1]], dtype=torch.int8)) == 0
    assert masked_loss(logits, torch.tensor([[-1, 1]], dtype=torch.int8)) == 1e4

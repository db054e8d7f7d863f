"""The loss of multi-label training."""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


def class_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of every image and class; 0 where the label is 0 (only difficult instances).

    Parameters
    ----------
    logits : (B, C) float
    labels : (B, C) int8
        1 present, -1 absent, 0 ignored.

    Returns
    -------
    (B, C) float32
    """
    losses = binary_cross_entropy_with_logits(logits.float(), (labels == 1).float(), reduction="none")
    return losses * (labels != 0)


def masked_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy over the labels that are not 0; 0 where there are none."""
    return class_losses(logits, labels).sum() / (labels != 0).sum().clamp(min=1)

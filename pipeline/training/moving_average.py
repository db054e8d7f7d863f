"""The exponential moving average of a network's weights."""

from __future__ import annotations

import torch
from torch import nn


class MovingAverage:
    """Averages all floating-point weights and buffers; copies the integer ones.

    The decay starts low and rises to `decay`, min(decay, (1 + step) / (10 + step)) as in TensorFlow's
    ExponentialMovingAverage, so that a short training's average does not hang on its random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)

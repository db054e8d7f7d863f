"""The exponential moving average of a network's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Averages all floating-point weights and buffers; copies the integer ones.

    The decay starts low and rises to `decay`, min(decay, n / (9 + n)) at update n as in TensorFlow's
    ExponentialMovingAverage, so that a short training's average does not hang on its random start.
    """

    @torch.no_grad()
    def update(averages: Any, values: Any, _: Any) -> None:
        if averages[0].is_floating_point():
            n = int(average.n_averaged)
            step = get_ema_multi_avg_fn(min(decay, n / (9 + n)))  # type: ignore[no-untyped-call]
            step(averages, values, n)
        else:
            torch._foreach_copy_(averages, values)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    average.n_averaged += 1  # the start is the first of what is averaged
    return average

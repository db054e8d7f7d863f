"""The average of the weights."""

from __future__ import annotations

import torch
from torch import nn

from pool5.training.moving_average import MovingAverage


def test_follows_the_recursion_over_weights_and_buffers():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(network, 0.5)
    expected = network.state_dict()["0.weight"].clone()
    for step in range(30):
        with torch.no_grad():
            network[0].weight.add_(1.0)
            network[1].running_mean.add_(1.0)
            network[1].num_batches_tracked.add_(1)
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    torch.testing.assert_close(average.state["0.weight"], expected)
    assert 28 < average.state["1.running_mean"][0] < 30
    assert average.state["1.num_batches_tracked"] == 30

"""The average of the weights."""

from __future__ import annotations

import torch
from torch import nn

from pool5.training.moving_average import moving_average


def test_follows_the_recursion_over_weights_and_buffers():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = moving_average(network, 0.5)
    expected = network.state_dict()["0.weight"].clone()
    for step in range(30):
        with torch.no_grad():
            network[0].weight.add_(1.0)
            network[1].running_mean.add_(1.0)
            network[1].num_batches_tracked.add_(1)
        average.update_parameters(network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    averaged = average.module.state_dict()
    torch.testing.assert_close(averaged["0.weight"], expected)
    assert 28 < averaged["1.running_mean"][0] < 30
    assert averaged["1.num_batches_tracked"] == 30

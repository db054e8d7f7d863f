"""CaffeNet is the network of the design: its sizes, its one ReLU a layer, its crop."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.nn import functional as F

from pool5.models.sources.caffenet import CaffeNet, pool5_side


def test_has_as_many_parameters_as_counted_by_hand():
    by_hand = (
        (3 * 11 * 11 + 1) * 96
        + (96 * 5 * 5 + 1) * 256
        + (256 * 3 * 3 + 1) * 384
        + (384 * 3 * 3 + 1) * 384
        + (384 * 3 * 3 + 1) * 256
        + (6400 + 1) * 4096
        + (4096 + 1) * 4096
        + (4096 + 1) * 20
    )
    assert by_hand == 46_828_948
    assert sum(p.numel() for p in CaffeNet(20).parameters()) == by_hand


def test_computes_what_the_layers_written_out_compute():
    network = CaffeNet(4, crop=96).eval()
    w = network.state_dict()
    x = torch.randn(2, 3, 96, 96)

    def conv(x, name, **options):
        return F.relu(F.conv2d(x, w[f"{name}.0.weight"], w[f"{name}.0.bias"], **options))

    x_out = network(x)
    x = F.max_pool2d(conv(x, "conv1", stride=4), 3, 2)
    x = F.max_pool2d(conv(x, "conv2", padding=2), 3, 2)
    x = conv(conv(conv(x, "conv3", padding=1), "conv4", padding=1), "conv5", padding=1)
    x = F.max_pool2d(x, 3, 2).flatten(1)
    x = F.relu(F.linear(x, w["fc6.0.weight"], w["fc6.0.bias"]))
    x = F.relu(F.linear(x, w["fc7.0.weight"], w["fc7.0.bias"]))
    torch.testing.assert_close(x_out, F.linear(x, w["logits.weight"], w["logits.bias"]))
    assert (x_out < 0).any()  # no ReLU after the logits


@pytest.mark.parametrize("crop", [67, 96, 128, 224, 227])
def test_pool5_follows_the_crop(crop):
    with torch.device("meta"):
        network = CaffeNet(20, crop)
        assert network(torch.empty(2, 3, crop, crop)).shape == (2, 20)
    assert network.fc6[0].in_features == 256 * pool5_side(crop) ** 2


def test_one_pixel_less_than_the_smallest_crop_leaves_nothing_in_pool5():
    assert pool5_side(67) == 1
    assert pool5_side(66) == 0


def test_can_be_pickled():
    assert isinstance(pickle.loads(pickle.dumps(CaffeNet(2, crop=67))), CaffeNet)  # noqa: S301

"""What cannot be pooled is told with why; what can, is tested with the networks in tests/extract."""

from __future__ import annotations

import pytest
from torch import nn

from pool5.errors import UserError
from pool5.models.layers import check_nodes
from pool5.models.node_values import Nodes, NodeValue, find_nodes
from pool5.models.pooling import possible_pools
from pool5.params import Layer
from pool5.store.layer_shape import LayerShape

MAP, TOKENS = LayerShape((8, 3, 3), "C,H,W"), LayerShape((10, 8), "tokens,C", 1)


@pytest.mark.parametrize(
    ("pool", "shape", "class_token", "told"),
    [
        ("cls", MAP, True, "no class token is in there; pool by mean, max or gem$"),
        ("cls", TOKENS, False, "no class token is in there; pool by mean, max or gem$"),
        ("cls", LayerShape((9, 8), "tokens,C"), True, "no class token is in there"),
        (
            "mean",
            LayerShape((8,), "C"),
            False,
            "a vector of 8, in which there is nothing to pool; leave out pool$",
        ),
        ("gem", LayerShape((4, 5, 6)), False, "do not tell which axis is the channels'; only flatten is"),
        ("max", LayerShape((1, 8), "tokens,C", 1), True, "no token of a place in there; pool by cls$"),
    ],
)
def test_what_cannot_be_pooled_is_refused(pool, shape, class_token, told):
    nodes = Nodes({"n": NodeValue("", shape)}, ("n",), True, class_token)
    with pytest.raises(UserError, match=rf"^layers\.a: pool {pool}: node n .*{told}"):
        check_nodes(nodes, {"a": Layer(node="n", pool=pool)})
    assert pool not in possible_pools(shape, class_token=class_token)


def test_what_can_be_pooled_passes():
    assert possible_pools(MAP, class_token=True) == ["flatten", "mean", "max", "gem"]
    assert possible_pools(TOKENS, class_token=True) == ["flatten", "cls", "mean", "max", "gem"]
    assert possible_pools(LayerShape((8,), "C"), class_token=True) == ["flatten"]


def test_without_images_of_twice_the_size_a_maps_axes_are_not_known():
    shape = find_nodes(nn.Sequential(nn.Conv2d(3, 4, 1)), 8).values["0"].shape
    assert shape is not None
    assert possible_pools(shape, class_token=False) == ["flatten"]

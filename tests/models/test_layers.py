"""Layers by name: what they hold, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.feature_extraction import get_graph_node_names

from pool5.errors import UserError
from pool5.models.card import ModelCard
from pool5.models.layers import LayerExtractor, check_layers, check_nodes, nodes_of
from pool5.models.network import build_network, on_shapes_alone
from pool5.models.node_values import Nodes, find_nodes
from pool5.params import Layer


def values_of(network: nn.Module, images: torch.Tensor, *nodes: str) -> dict[str, torch.Tensor]:
    layers = [Layer(node=node) for node in nodes]
    return {layer.node: value for layer, value in LayerExtractor.of(network, layers)(images).items()}


def nodes_at_64(architecture: str) -> Nodes:
    return nodes_of(architecture, 3, 64, None, Path())


def check(nodes: Nodes, node: str) -> None:
    check_nodes(nodes, {"a": Layer(node=node)})


def test_caffenet_gives_the_sizes_of_the_design_at_224():
    images = torch.randn(2, 3, 224, 224)
    values = values_of(build_network("caffenet", 20), images, "pool5", "fc6", "fc7", "logits")
    assert {k: tuple(v.shape) for k, v in values.items()} == {
        "pool5": (2, 6400),
        "fc6": (2, 4096),
        "fc7": (2, 4096),
        "logits": (2, 20),
    }
    assert all(v.dtype == torch.float32 for v in values.values())
    assert (values["fc6"] >= 0).all()
    assert (values["fc7"] >= 0).all()
    assert (values["logits"] < 0).any()


def test_resnet_pools_and_classifies_the_same_values():
    network = build_network("resnet18", 20, 64)
    values = values_of(network, torch.randn(3, 3, 64, 64), "flatten", "avgpool", "fc")
    assert values["flatten"].shape == (3, 512)
    assert torch.equal(values["flatten"], values["avgpool"])
    torch.testing.assert_close(network.fc(values["flatten"]), values["fc"])


def test_maps_are_flattened_in_channel_height_width_order():
    network = build_network("caffenet", 4, 96)
    pool5 = {}
    network.pool5.register_forward_hook(lambda module, inputs, output: pool5.update(map=output))
    images = torch.randn(2, 3, 96, 96)
    network.eval()(images)
    values = values_of(network, images, "pool5")
    assert torch.equal(values["pool5"], pool5["map"].contiguous().flatten(1))
    # the memory layout changes nothing about the order
    network = network.to(memory_format=torch.channels_last)
    last = values_of(network, images.contiguous(memory_format=torch.channels_last), "pool5")
    torch.testing.assert_close(last["pool5"], values["pool5"], rtol=1e-3, atol=1e-4)


def test_extraction_is_in_eval_mode_and_repeats():
    network = build_network("caffenet", 4, 67).train()
    images = torch.randn(2, 3, 67, 67)
    first, second = (values_of(network, images, "logits")["logits"] for _ in range(2))
    assert torch.equal(first, second)


def test_a_wrong_node_names_nodes_that_are_there():
    nodes = nodes_at_64("resnet18")
    with pytest.raises(UserError) as told:
        check_nodes(nodes, {"fc7": Layer(node="flattn")})
    message = str(told.value)
    assert "layers.fc7: the network has no node flattn (did you mean flatten?)" in message
    listed = message.partition("it has ")[2].split(", ")
    assert listed == list(nodes.main)
    assert {"conv1", "layer1.0", "layer1", "layer4.1", "avgpool", "flatten", "fc"} <= set(listed)
    assert not {"layer1.0.conv1", "layer2.0.downsample.0"} & set(listed)


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v2", "swin_t"])
def test_nodes_are_those_of_torchvision_and_the_modules_made_of_others(architecture):
    network = on_shapes_alone(architecture, 3, 64)
    graph = get_graph_node_names(network, suppress_diff_warning=True)[1][1:]
    nodes = [*nodes_at_64(architecture).values]
    assert [node for node in nodes if node in graph] == graph
    modules = dict(network.named_modules())
    assert all(any(modules[node].children()) for node in nodes if node not in graph)


@pytest.mark.parametrize(("architecture", "node"), [("mobilenet_v2", "flatten"), ("vit_b_16", "getitem_5")])
def test_any_node_of_a_torchvision_model_is_a_layer(architecture, node):
    network = build_network(architecture, 3, 64)
    assert values_of(network, torch.randn(2, 3, 64, 64), node)[node].shape[:1] == (2,)


def partial_alexnet():
    missing = tuple(k for k in build_network("alexnet", 20).state_dict() if k.startswith("classifier"))
    return ModelCard("alexnet", 20, 224, (), "0" * 64, "file conv.pth", missing)


def check_partial_alexnet(architecture, layers):
    named = {layer: Layer(node=node) for layer, node in layers.items()}
    check_layers(partial_alexnet(), architecture, named, Path())


def test_layers_that_need_no_missing_weight_pass():
    check_partial_alexnet("alexnet", {"pool5": "features.12", "flat": "flatten"})


def test_a_layer_from_missing_weights_is_refused_with_what_would_do():
    with pytest.raises(
        UserError, match=r"layers.fc7: node classifier.5 .* needs classifier.1.weight"
    ) as told:
        check_partial_alexnet("alexnet", {"pool5": "features.12", "fc7": "classifier.5"})
    assert "features.12" in str(told.value).partition("nodes that it gives")[2]


def test_a_card_of_another_architecture_is_refused():
    with pytest.raises(UserError, match="architecture resnet18: the stored model is a alexnet"):
        check_partial_alexnet("resnet18", {"fc7": "flatten"})


@pytest.mark.parametrize(
    ("architecture", "node", "told"),
    [
        ("vit_b_16", "class_token", "the same (1, 1, 768) whatever the images are, as a weight does"),
        ("vit_b_16", "encoder.layers.encoder_layer_0.self_attention", "a tuple"),
        ("vit_b_16", "getitem", "a int"),
        ("shufflenet_v2_x0_5", "stage2.1.chunk", "a tuple"),
        ("convnext_tiny", "features.1.0.features_1_0_layer_scale", "the same (96, 1, 1) whatever"),
        ("swin_t", "features.1.0.attn.features_1_0_attn_qkv_weight", "the same (288, 96) whatever"),
    ],
)
def test_a_node_that_gives_no_row_an_image_is_refused(architecture, node, told):
    nodes = nodes_at_64(architecture)
    with pytest.raises(UserError, match=re.escape(f"layers.a: node {node} gives {told}")) as refused:
        check(nodes, node)
    assert str(refused.value).endswith(f"nodes that do: {', '.join(nodes.main)}")
    assert node not in nodes.rows


@pytest.mark.parametrize("architecture", ["vit_b_16", "swin_v2_t", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_every_node_that_is_offered_gives_a_row_an_image(architecture):
    nodes = nodes_at_64(architecture)
    assert 80 < len(nodes.rows) < len(nodes.values)
    assert not [
        node for node in nodes.rows if node.endswith(("_weight", "layer_scale", "self_attention", "chunk"))
    ]
    network = on_shapes_alone(architecture, 3, 64)
    values = values_of(network, torch.empty(5, 3, 64, 64, device="meta"), *nodes.rows)
    assert all(value.ndim == 2 and len(value) == 5 for value in values.values())


def test_what_a_node_gives_is_found_without_touching_the_network():
    network = build_network("resnet18", 3, 64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    find_nodes(network, 64)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_windows_that_stand_before_the_images_axis_are_refused():
    class Windows(nn.Module):
        def forward(self, images):
            return images.reshape(images.shape[0] * 4, -1).view(images.shape[0], -1)

    nodes = find_nodes(Windows(), 8)
    assert nodes.rows == ["view"]
    with pytest.raises(UserError, match=re.escape("node reshape gives (8, 48) for two images, not a row")):
        check(nodes, "reshape")


class Pair(nn.Module):
    """Its last operation is not what it returns, and its convolution's value is changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.pair = Two()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        both = self.pair(self.body(images))
        return both[0] + both[1]


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.side = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        value = self.convolution(images)
        value.relu_()
        self.last = self.side(images)
        return value


class Two(nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images + 1


class Untraceable(Pair):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images)  # which a tracer cannot tell
        return super().forward(images)


@pytest.mark.parametrize("kind", [Pair, Untraceable])
def test_a_module_stands_for_what_it_returns(kind):
    torch.manual_seed(0)
    network, images = kind().eval(), torch.randn(2, 3, 4, 4)
    with torch.inference_mode():
        values = values_of(network, images, "body", "body.convolution")
        convolved = network.body.convolution(images)
    network.body.last = None
    assert torch.equal(values["body"], convolved.relu().flatten(1))
    assert torch.equal(values["body.convolution"], convolved.flatten(1))
    with pytest.raises(UserError, match="node pair gives a tuple, not a row an image"):
        check(find_nodes(network, 4), "pair")


class Masked(nn.Module):
    """Takes more than images; its value is another where a mask is given."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, scale: float = 2.0, *, deep: bool = False
    ) -> torch.Tensor:
        value = self.convolution(x)
        if mask is not None:
            value = value + 1
        return (-value if deep else value).flatten(1) * scale


def test_what_forward_takes_beside_images_keeps_its_default():
    network, images = Masked().eval(), torch.randn(2, 3, 4, 4)
    nodes = find_nodes(network, 4)
    assert nodes.traced
    assert [*nodes.values] == ["convolution", "flatten", "mul"]
    with torch.inference_mode():
        assert torch.equal(values_of(network, images, "mul")["mul"], network(images))


def test_a_network_of_timm_that_takes_a_mask_gives_its_own_values():
    timm = pytest.importorskip("timm")
    sizes = {"img_size": 64, "embed_dim": 8, "num_heads": 1, "stages": (1, 1, 1, 1), "num_classes": 3}
    network = timm.create_model("hiera_tiny_224", **sizes).eval()
    images = torch.randn(2, 3, 64, 64)
    assert {"blocks.3", "head"} <= set(find_nodes(network, 64).rows)
    with torch.inference_mode():
        torch.testing.assert_close(values_of(network, images, "head.fc")["head.fc"], network(images))


def test_a_network_that_decides_by_values_or_takes_no_such_images_is_refused_in_a_line():
    class Branching(nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else -images

    for network, told in ((Branching(), "item"), (nn.Conv2d(3, 4, 9), "too small")):
        wrong = "the network cannot take images of 8 pixels, or decides by their values: .*"
        with pytest.raises(UserError, match=f"^{wrong}{told}.*$"):
            find_nodes(network, 8)

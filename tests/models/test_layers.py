"""Layers by name: what they hold, and what is refused."""

from __future__ import annotations

import re

import pytest
import torch
from torchvision.models.feature_extraction import get_graph_node_names

from pool5.errors import UserError
from pool5.models.card import ModelCard
from pool5.models.layers import LayerExtractor, check_layers, check_nodes, nodes_of
from pool5.models.network import build_network, on_shapes_alone


def test_caffenet_gives_the_sizes_of_the_design_at_224():
    layers = {name: name for name in ("pool5", "fc6", "fc7", "logits")}
    values = LayerExtractor(build_network("caffenet", 20), layers)(torch.randn(2, 3, 224, 224))
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


def test_resnet_fc7_and_pool5_are_the_pooled_values_and_not_the_logits():
    network = build_network("resnet18", 20, 64)
    images = torch.randn(3, 3, 64, 64)
    extractor = LayerExtractor(network, {"fc7": "flatten", "pool5": "flatten", "logits": "fc"})
    values = extractor(images)
    assert values["fc7"].shape == (3, 512)
    assert torch.equal(values["fc7"], values["pool5"])
    torch.testing.assert_close(network.fc(values["fc7"]), values["logits"])


def test_maps_are_flattened_in_channel_height_width_order():
    network = build_network("caffenet", 4, 96)
    pool5 = {}
    network.pool5.register_forward_hook(lambda module, inputs, output: pool5.update(map=output))
    images = torch.randn(2, 3, 96, 96)
    network.eval()(images)
    values = LayerExtractor(network, {"pool5": "pool5"})(images)
    assert torch.equal(values["pool5"], pool5["map"].contiguous().flatten(1))
    # the memory layout changes nothing about the order
    network = network.to(memory_format=torch.channels_last)
    last = LayerExtractor(network, {"pool5": "pool5"})(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last["pool5"], values["pool5"], rtol=1e-3, atol=1e-4)


def test_extraction_is_in_eval_mode_and_repeats():
    network = build_network("caffenet", 4, 67).train()
    extractor = LayerExtractor(network, {"logits": "logits"})
    images = torch.randn(2, 3, 67, 67)
    assert torch.equal(extractor(images)["logits"], extractor(images)["logits"])


def test_a_wrong_node_lists_the_nodes_there_are():
    network = build_network("resnet18", 4, 64)
    with pytest.raises(UserError) as told:
        check_nodes(network, {"fc7": "flattn"}, 64)
    message = str(told.value)
    assert "layers.fc7: the network has no node flattn (did you mean flatten?)" in message
    listed = message.partition("it has ")[2].split(", ")
    assert listed == get_graph_node_names(network)[1][1:] == nodes_of(network, 64)


@pytest.mark.parametrize(("architecture", "node"), [("mobilenet_v2", "flatten"), ("vit_b_16", "getitem_5")])
def test_any_node_of_a_torchvision_model_is_a_layer(architecture, node):
    network = build_network(architecture, 3, 64)
    values = LayerExtractor(network, {"a": node})(torch.randn(2, 3, 64, 64))
    assert values["a"].shape[0] == 2
    assert values["a"].ndim == 2


def partial_alexnet():
    missing = tuple(k for k in build_network("alexnet", 20).state_dict() if k.startswith("classifier"))
    return ModelCard("alexnet", 20, 224, (), "0" * 64, "file conv.pth", missing)


def check_partial_alexnet(architecture, layers):
    check_layers(partial_alexnet(), architecture, layers, on_shapes_alone("alexnet", 20, 224))


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
    network = on_shapes_alone(architecture, 3, 64)
    with pytest.raises(UserError, match=re.escape(f"layers.a: node {node} gives {told}")) as refused:
        check_nodes(network, {"a": node}, 64)
    offered = str(refused.value).partition("nodes that do: ")[2].split(", ")
    assert node not in offered
    assert offered == nodes_of(network, 64)


@pytest.mark.parametrize("architecture", ["vit_b_16", "swin_v2_t", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_every_node_that_is_offered_gives_a_row_an_image(architecture):
    network = on_shapes_alone(architecture, 3, 64)
    nodes = nodes_of(network, 64)
    assert 80 < len(nodes) < len(get_graph_node_names(network)[1]) - 1
    assert not [
        node for node in nodes if node.endswith(("_weight", "layer_scale", "self_attention", "chunk"))
    ]
    values = LayerExtractor(network, {node: node for node in nodes})(torch.empty(5, 3, 64, 64, device="meta"))
    assert all(value.ndim == 2 and len(value) == 5 for value in values.values())


def test_what_a_node_gives_is_found_without_touching_the_network():
    network = build_network("resnet18", 3, 64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_nodes(network, {"a": "layer1"}, 64)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_windows_that_stand_before_the_images_axis_are_refused():
    class Windows(torch.nn.Module):
        def forward(self, images):
            return images.reshape(images.shape[0] * 4, -1).view(images.shape[0], -1)

    assert nodes_of(Windows(), 8) == ["view"]
    with pytest.raises(UserError, match=re.escape("node reshape gives (8, 48) for two images, not a row")):
        check_nodes(Windows(), {"a": "reshape"}, 8)

"""Networks by name, and a model's folder read back."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from pool5.errors import UserError
from pool5.models.card import ModelCard, read_card, write_card
from pool5.models.network import (
    build_network,
    head_names,
    load_network,
    num_outputs,
    on_shapes_alone,
    takes_crop,
)
from pool5.models.sources import source_of
from pool5.models.weights import write_model

CARD = ModelCard("squeezenet1_1", 3, 64, ("a", "b", "c"), "", "drawn")
HEADS = {
    "alexnet": "classifier.6",
    "convnext_tiny": "classifier.2",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "googlenet": "fc",
    "inception_v3": "fc",
    "maxvit_t": "classifier.5",
    "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "regnet_x_400mf": "fc",
    "resnet18": "fc",
    "resnext50_32x4d": "fc",
    "shufflenet_v2_x0_5": "fc",
    "squeezenet1_1": "classifier.1",
    "swin_t": "head",
    "vgg11": "classifier.6",
    "vit_b_16": "heads.head",
    "caffenet": "logits",
}


def test_every_classification_model_of_torchvision_is_known():
    known = set(source_of("resnet18").architectures())
    assert {"resnet18", "vit_b_16", "mobilenet_v2"} <= known
    assert set(torchvision.models.list_models(module=torchvision.models)) < known


@pytest.mark.parametrize("architecture", HEADS)
def test_the_head_of_each_family_is_its_last_layer(architecture):
    network = on_shapes_alone(architecture, 7, 224)
    assert head_names(network)[0] == HEADS[architecture]
    assert num_outputs(network) == 7


def test_resnet18_has_as_many_parameters_as_torchvision_says():
    known = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["num_params"]
    assert sum(p.numel() for p in build_network("resnet18", 1000).parameters()) == known


def test_an_unknown_architecture_gets_the_near_names():
    with pytest.raises(UserError, match=r"resnet17: not caffenet.*did you mean resnet1"):
        build_network("resnet17", 20)


@pytest.mark.parametrize(
    ("architecture", "crop", "larger"),
    [("caffenet", 64, 70), ("alexnet", 32, 64), ("vit_b_16", 100, 112), ("vgg11", 16, 32)],
)
def test_a_crop_too_small_gets_a_size_that_works(architecture, crop, larger):
    with pytest.raises(UserError, match=f"{architecture}.* {crop} px .*{larger} px"):
        build_network(architecture, 20, crop)
    assert takes_crop(architecture, larger)


def test_what_no_size_helps_is_told_with_the_networks_own_words():
    options = {"arguments": {"replace_stride_with_dilation": [1, 2]}}
    with pytest.raises(UserError, match=r"resnet18 with arguments .*: cannot .* 64 px .*: .*3-element"):
        build_network("resnet18", 20, 64, options)


@pytest.mark.parametrize("arguments", [{"widht": 3}, {"num_classes": 3}, {"num_outputs": 3}])
@pytest.mark.parametrize("architecture", ["caffenet", "resnet18", "timm/test_resnet"])
def test_a_wrong_argument_is_named(architecture, arguments):
    with pytest.raises(UserError, match=rf"{architecture}: arguments .*{next(iter(arguments))}"):
        build_network(architecture, 20, 96, {"arguments": arguments})


@pytest.fixture
def stored(tmp_path):
    network = build_network("squeezenet1_1", 3, 64)
    write_model(
        tmp_path / "small",
        network.state_dict(),
        CARD,
    )
    return tmp_path / "small", network


def test_a_stored_model_computes_the_same_in_eval_mode(stored):
    folder, network = stored
    images = torch.randn(2, 3, 64, 64)
    loaded = load_network(folder)
    assert not loaded.training
    assert torch.equal(loaded(images), network.eval()(images))


@pytest.mark.parametrize(
    "architecture",
    ["mnasnet0_5", "swin_t", "swin_v2_t", "regnet_y_400mf", "vit_b_32", "googlenet", "shufflenet_v2_x0_5"],
)
def test_every_family_comes_back_as_it_was(tmp_path, architecture):
    torch.manual_seed(1)
    network = build_network(architecture, 5, 96).eval()
    options = source_of(architecture).options(architecture)
    card = ModelCard(architecture, 5, 96, (), "", "drawn", options=options)
    write_model(tmp_path / "net", network.state_dict(), card)
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(load_network(tmp_path / "net")(images), network(images))


def test_the_same_weights_give_the_same_bytes(stored, tmp_path):
    folder, network = stored
    again = write_model(
        tmp_path / "again",
        dict(reversed(network.state_dict().items())),
        CARD,
    )
    assert again == read_card(folder)
    for name in ("weights.safetensors", "model.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_damaged_weights_are_not_loaded(stored):
    folder, _ = stored
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-5, 2)
        file.write(b"\x01")
    with pytest.raises(UserError, match=r"weights.safetensors: sha256 .* its card says") as told:
        load_network(folder)
    assert (told.value.rerun, told.value.force) == ("model@small", True)


def test_a_folder_without_a_card_is_no_model(stored):
    folder, _ = stored
    (folder / "model.json").unlink()
    with pytest.raises(UserError, match="no such model") as told:
        load_network(folder)
    assert (told.value.rerun, told.value.force) == ("model@small", False)


def test_weights_of_another_architecture_are_told(stored, tmp_path):
    folder, _ = stored
    state = load_file(folder / "weights.safetensors")
    state.pop("features.0.weight")
    save_file(state, folder / "weights.safetensors")
    card = read_card(folder)
    sha256 = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    write_card(folder, dataclasses.replace(card, weights_sha256=sha256))
    with pytest.raises(UserError, match="not the weights of a squeezenet1_1"):
        load_network(folder)


def test_reading_a_model_leaves_the_random_generator_alone(stored):
    folder, _ = stored
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_network(folder)
    assert torch.equal(torch.rand(1), expected)

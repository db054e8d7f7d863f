"""Which parameters are decayed, and how fast each learns."""

from __future__ import annotations

import torch

from pool5.models.network import build_network
from pool5.params import Train
from pool5.training.optimizer import build_optimizer


def settings_by_name(recipe: Train, network) -> dict[str, tuple[float, float]]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    groups = build_optimizer(network, recipe).param_groups
    return {names[p]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


def test_norms_and_biases_are_not_decayed_and_the_head_has_its_own_rate():
    recipe = Train(epochs=1, batch_size=1, lr=0.01, head_lr_factor=10, weight_decay=0.5)
    network = build_network("resnet18", 3, 64)
    found = settings_by_name(recipe, network)
    assert set(found) == {name for name, _ in network.named_parameters()}
    assert found["conv1.weight"] == (0.01, 0.5)
    assert found["layer1.0.bn1.weight"] == found["layer1.0.bn1.bias"] == (0.01, 0.0)
    assert found["fc.weight"] == (0.1, 0.5)
    assert found["fc.bias"] == (0.1, 0.0)


def test_what_is_frozen_is_not_there():
    network = build_network("resnet18", 3, 64).requires_grad_(False)
    network.fc.requires_grad_(True)
    recipe = Train(epochs=1, batch_size=1, lr=0.01, optimizer="adamw")
    assert set(settings_by_name(recipe, network)) == {"fc.weight", "fc.bias"}
    assert isinstance(build_optimizer(network, recipe), torch.optim.AdamW)

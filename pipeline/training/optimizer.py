"""The optimizer of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from ..models.network import head_names
from ..params import Train


def build_optimizer(network: nn.Module, recipe: Train) -> torch.optim.Optimizer:
    """SGD with momentum or AdamW over the parameters that train.

    Four groups: trunk and head, each with and without weight decay. Norms and biases get none (He et al.
    2019, "Bag of tricks"); they are the parameters of fewer than two dimensions. The head's rate is
    `head_lr_factor` times the trunk's.
    """
    heads = tuple(f"{head}." for head in head_names(network))
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            in_head = name.startswith(heads)
            groups.setdefault((in_head, parameter.ndim > 1), []).append(parameter)
    settings = []
    for (in_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0]):
        rate = recipe.lr * (recipe.head_lr_factor if in_head else 1.0)
        decay = recipe.weight_decay if decays else 0.0
        settings.append({"params": parameters, "lr": rate, "weight_decay": decay})
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    return torch.optim.AdamW(settings, lr=recipe.lr, fused=True)

"""Networks with drawn weights and statistics: nothing is downloaded, and folding has something to fold."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.gpu_check.vit_s_16 import vit_s_16
from pool5.models.network import build_network


def drawn_network(name: str, crop: int, seed: int = 0) -> nn.Module:
    """The network in eval mode on the CPU, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = vit_s_16(20, crop) if name == "vit-s-16" else build_network(name, 20, crop)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.1)
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()

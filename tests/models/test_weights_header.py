"""The head of a weights file tells how many parameters a network has."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from pool5.errors import UserError
from pool5.models.card import WEIGHTS_FILE
from pool5.models.weights_header import count_parameters


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "swin_t", "vit_b_16"])
def test_it_counts_what_torch_calls_parameters(tmp_path, name):
    with torch.device("meta"):
        network = get_model(name)
    state = {key: torch.empty(value.shape, dtype=value.dtype) for key, value in network.state_dict().items()}
    save_file(state, tmp_path / WEIGHTS_FILE)
    assert count_parameters(tmp_path) == sum(value.numel() for value in network.parameters())


def test_damage_is_told_in_a_line(tmp_path):
    (tmp_path / WEIGHTS_FILE).write_bytes(b"\xff" * 40)
    with pytest.raises(UserError, match="not a safetensors file"):
        count_parameters(tmp_path)


def test_a_folder_without_weights_has_no_number(tmp_path):
    assert count_parameters(tmp_path) is None

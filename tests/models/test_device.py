"""Which device a setting means."""

from __future__ import annotations

import pytest
import torch

from pool5.errors import UserError
from pool5.models.device import choose_device, keep_to


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As torch shows them; gives the number of the one that it was told to keep to."""
    kept: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch._C, "_cuda_setDevice", kept.append, raising=False)
    return kept


@pytest.mark.parametrize(("setting", "number"), [("auto", 0), ("cuda", 0), ("cuda:1", 1)])
def test_a_gpu_is_known_by_its_number_which_torch_asks_for(two_gpus, setting, number):
    device = choose_device(setting, "extract.device")
    assert device == torch.device("cuda", number)
    keep_to(device)
    assert two_gpus == [number]


def test_a_gpu_that_is_not_there_is_one_line(two_gpus):
    with pytest.raises(UserError, match=r"^extract\.device: cuda:2: there are 2 GPUs, cuda:0 to cuda:1;"):
        choose_device("cuda:2", "extract.device")


def test_a_cpu_is_left_as_it_is(two_gpus):
    keep_to(choose_device("cpu", "extract.device"))
    assert two_gpus == []

"""How CUDA is to compute is set around a batch, whatever was set before; it needs no card to be set."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pool5.extract.cuda_arithmetic import repeatable

CUDNN, PRODUCTS = torch.backends.cudnn, torch.backends.cuda.matmul


def settings() -> dict[str, object]:
    return {
        "race": CUDNN.benchmark,
        "repeatable": CUDNN.deterministic,
        "convolutions": CUDNN.conv.fp32_precision,
        "products": PRODUCTS.fp32_precision,
        "fp16": PRODUCTS.allow_fp16_reduced_precision_reduction,
        "bf16": PRODUCTS.allow_bf16_reduced_precision_reduction,
    }


def test_what_a_users_own_file_sets_does_not_decide_values() -> None:
    before = settings()
    torch.set_float32_matmul_precision("high")
    CUDNN.benchmark = True
    try:
        asked = settings()
        assert asked["products"] == "tf32"
        with repeatable():
            assert settings() == {
                "race": False,
                "repeatable": True,
                "convolutions": "ieee",
                "products": "ieee",
                "fp16": False,
                "bf16": False,
            }
            # torch refuses to compute where its older and newer settings were mixed
            nn.Conv2d(3, 4, 3)(torch.zeros(1, 3, 8, 8))
            nn.Linear(4, 2)(torch.zeros(1, 4))
        assert settings() == asked
    finally:
        torch.set_float32_matmul_precision("highest")
        PRODUCTS.fp32_precision, CUDNN.benchmark = before["products"], before["race"]
    assert settings() == before


@pytest.mark.parametrize(
    ("where", "name"), [(PRODUCTS, "tf32"), (torch.backends.mkldnn.matmul, "bf16"), (torch.backends, "tf32")]
)
def test_neither_does_a_newer_setting_that_the_older_one_does_not_know_of(where: object, name: str) -> None:
    before = settings(), where.fp32_precision
    try:
        where.fp32_precision = name
        asked = settings()
        with repeatable():
            assert (settings()["products"], torch.get_float32_matmul_precision()) == ("ieee", "highest")
            nn.Linear(4, 2)(torch.zeros(1, 4))
        assert settings() == asked
    finally:
        where.fp32_precision = before[1]
        for each in (PRODUCTS, CUDNN.conv, CUDNN.rnn, torch.backends.mkldnn.matmul):
            each.fp32_precision = "none"
    with repeatable():
        pass


def test_the_settings_are_as_before_after_an_error() -> None:
    before = settings()
    with pytest.raises(KeyError), repeatable():
        raise KeyError
    assert settings() == before

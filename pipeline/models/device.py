"""Which device computes, and what it can."""

from __future__ import annotations

import torch

from ..errors import UserError


def choose_device(setting: str, key: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:<n>`.

    Parameters
    ----------
    setting : str
        From params.yaml; `auto` is CUDA where there is a device, else the CPU.
    key : str
        Where it stands in params.yaml, for the message.

    Raises
    ------
    UserError
        If CUDA is asked for and not there.
    """
    if setting == "auto":
        setting = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(setting)
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        there = f"there are {count} GPUs, cuda:0 to cuda:{count - 1}" if count else "torch finds no GPU"
        raise UserError(f"{key}: {setting}: {there}; set it to auto or cpu")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware; where it is emulated, it is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

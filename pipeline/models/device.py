"""Which device computes, and what it can."""

from __future__ import annotations

import logging

import torch

from ..errors import UserError
from ..files.hints import counted
from ..machine import cores, processor

_log = logging.getLogger(__name__)


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
    device = torch.device("cuda:0" if setting == "cuda" else setting)  # some of torch wants the number
    if device.type == "cuda" and device.index >= (count := torch.cuda.device_count()):
        there = f"there are {count} GPUs, cuda:0 to cuda:{count - 1}" if count else "torch finds no GPU"
        raise UserError(f"{key}: {setting}: {there}; set it to auto or cpu")
    return device


def keep_to(device: torch.device) -> None:
    """Let whatever names no device, such as pinned memory, take nothing of another GPU than this one."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware; where it is emulated, it is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def all_gpus(mixed: bool) -> list[str]:
    """The names, as `cuda:0`, of all GPUs; empty where there is none.

    Parameters
    ----------
    mixed : bool
        Also of those of another kind than the first, which may give other bits.
    """
    kinds = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    named = {f"cuda:{number}": kind for number, kind in enumerate(kinds) if mixed or kind == kinds[0]}
    for number, kind in enumerate(kinds):
        if f"cuda:{number}" not in named:
            told = "cuda:%d (%s) is left out, as cuda:0 is a %s; extract.mixed: true takes all GPUs"
            _log.warning(told, number, kind, kinds[0])
    return list(named)


def kind_of(device: torch.device) -> str:
    """What may decide bits: the GPU's name, or the instructions of the CPU that torch uses: `cpu AVX512`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"


def in_words(device: torch.device) -> str:
    """For people: the GPU's name, or the processor's and how many cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {counted(cores(), 'core')}"

"""Checkpoints of others: safetensors and torch files, read without running anything in them."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import safetensors
import torch

from ..errors import UserError

_WRAPPERS = ("state_dict", "model", "model_state_dict")
_CLASS_NAMES = ("classes", "class_names", "categories", "class_to_idx", "idx_to_class", "names")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A state dict, and the names of the classes where the file has them; else no names."""

    state: dict[str, torch.Tensor]
    classes: tuple[str, ...] = ()


def read_checkpoint(path: Path, name: str) -> Checkpoint:
    """The state dict in a .safetensors or a torch file; a pickle can give tensors and run nothing.

    Raises
    ------
    UserError
        If the file is damaged, holds code, or holds no state dict.
    """
    safe = path.suffix == ".safetensors"
    try:
        found = _read_safetensors(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # on damaged bytes torch.load raises nearly anything: RuntimeError, IndexError, AttributeError, …
        raise UserError(f"model {name}: {path}: {_what_is_wrong(error, safe)}") from None
    classes: tuple[str, ...] = ()
    for level in islice(_levels(found), 9):  # one may hold itself
        named = (_names(level.get(key)) for key in _CLASS_NAMES)
        classes = classes or next(filter(None, named), ())
        found = level
    if not isinstance(found, Mapping) or not found or not all(map(_is_plain, found.values())):
        raise UserError(
            f"model {name}: {path}: holds no state dict; save network.state_dict() and nothing else"
        )
    return Checkpoint({str(key): value for key, value in found.items()}, classes)


def prefixes(names: Iterable[str], own: Collection[str]) -> list[str]:
    """Under what a checkpoint has a network's `own` names: `module.`, `_orig_mod.`, `model.`, …

    Each prefix under which there are at least half of them, the best first; `[""]` where none is better.
    """
    found: Counter[str] = Counter()
    for name in names:
        steps = name.split(".")
        for rest in (".".join(steps[i:]) for i in range(len(steps))):
            if rest in own:
                found[name.removesuffix(rest)] += 1
    fits = [prefix for prefix, count in found.most_common() if 2 * count >= len(own)]
    return fits if fits and found[fits[0]] > found[""] else [""]


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        return {**(file.metadata() or {}), "state_dict": state}


def _what_is_wrong(error: Exception, safe: bool) -> str:
    if safe:
        return f"not a safetensors file ({error}); fetch it again"
    if isinstance(error, pickle.UnpicklingError):
        if blocked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            return (
                f"refused, because reading it would run code ({blocked[1]}); "
                "save the state dict alone, best as safetensors"
            )
        return "not a torch checkpoint; fetch or save it again"
    return "a damaged torch checkpoint; fetch or save it again"


def _levels(found: object) -> Iterator[Mapping[Any, Any]]:
    """The mappings from the file's own down to the state dict."""
    while isinstance(found, Mapping):
        yield found
        found = next((found[key] for key in _WRAPPERS if isinstance(found.get(key), Mapping)), None)


def _is_plain(value: object) -> bool:
    """Whether it is a tensor of real numbers in memory of its own."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and not (value.is_meta or value.is_complex() or value.is_quantized)
        and value.untyped_storage().nbytes() >= value.numel() * value.element_size()
    )


def _names(said: object) -> tuple[str, ...]:
    """Class names in order of the outputs, from a list or a mapping to or from numbers; else none."""
    if isinstance(said, str):  # safetensors' metadata are texts
        try:
            said = json.loads(said)
        except ValueError:
            return ()
    if isinstance(said, Mapping):
        pairs = [(key, value) if isinstance(value, str) else (value, key) for key, value in said.items()]
        numbered = {int(number): name for number, name in pairs if str(number).isdecimal()}
        if sorted(numbered) != list(range(len(said))):
            return ()
        said = [numbered[i] for i in range(len(said))]
    if not isinstance(said, list | tuple) or not all(isinstance(name, str) for name in said):
        return ()
    return tuple(said)

"""Checkpoints of others: safetensors and torch files, read without running anything in them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from ..errors import UserError
from ..params.references import SAVE_INSTEAD
from .foreign_file import foreign_format, holds_pickled_modules

_CLASS_NAMES = ("classes", "class_names", "categories", "class_to_idx", "idx_to_class", "names")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    states : dict
        {where in the file: state dict}, `{"": …}` of a file that is one, `{"student": …, "teacher": …}`.
    classes : tuple of str
        Names of the outputs, in order; none where the file has none.
    """

    states: dict[str, dict[str, torch.Tensor]]
    classes: tuple[str, ...] = ()

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """The largest of its state dicts."""
        return max(self.states.values(), key=len)


def read_checkpoint(path: Path, name: str) -> Checkpoint:
    """The state dicts in a .safetensors or a torch file; a pickle can give tensors and run nothing.

    Beside what torch itself reads with `weights_only`, `argparse.Namespace` is read: DINO, MAE and timm keep
    their settings in one. It is a bag of attributes, made without a call of any code, and is not looked at.

    Raises
    ------
    UserError
        If the file is damaged, holds code, is of another format, or holds no state dict.
    """
    if kind := foreign_format(path):
        raise UserError(f"model {name}: {path}: {kind}, not a state dict; {SAVE_INSTEAD}")
    safe = path.suffix == ".safetensors" or _is_safetensors(path)
    try:
        found = _read_safetensors(path) if safe else _read_torch(path)
    except Exception as error:
        # on damaged bytes torch.load raises nearly anything: RuntimeError, IndexError, AttributeError, …
        raise UserError(f"model {name}: {path}: {_what_is_wrong(error, path, safe)}") from None
    states: dict[str, dict[str, torch.Tensor]] = {}
    classes: tuple[str, ...] = ()
    for where, mapping in _mappings(found):
        classes = classes or next(filter(None, (_names(mapping.get(key)) for key in _CLASS_NAMES)), ())
        if state := {str(key): value for key, value in mapping.items() if isinstance(value, torch.Tensor)}:
            states[where] = state
    if not states:
        raise UserError(f"model {name}: {path}: holds no state dict; {SAVE_INSTEAD}")
    if odd := [key for state in states.values() for key, value in state.items() if not _is_plain(value)]:
        raise UserError(f"model {name}: {path}: holds no state dict: {odd[0]} is no array of real numbers")
    return Checkpoint(states, classes)


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as the format does: the length of its JSON header, and the header."""
    with path.open("rb") as file:
        length, brace = file.read(8), file.read(1)
    return brace == b"{" and int.from_bytes(length, "little") < path.stat().st_size


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        return {**(file.metadata() or {}), "state_dict": state}


def _read_torch(path: Path) -> object:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _what_is_wrong(error: Exception, path: Path, safe: bool) -> str:
    if safe:
        return f"not a safetensors file ({error}); fetch it again"
    if isinstance(error, pickle.UnpicklingError):
        if blocked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            code = "a network pickled whole, " if holds_pickled_modules(path) else ""
            return f"refused, because reading it would run code ({code}{blocked[1]}); {SAVE_INSTEAD}"
        return "not a torch checkpoint; fetch or save it again"
    return "a damaged torch checkpoint; fetch or save it again"


def _mappings(found: object) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Every mapping in a file and where it stands, outer ones first; each once, as one may hold itself."""
    waiting, seen = [("", found)], set()
    for where, value in waiting:
        if isinstance(value, Mapping) and id(value) not in seen:
            seen.add(id(value))
            yield where, value
            waiting += [(f"{where}.{key}" if where else str(key), each) for key, each in value.items()]


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

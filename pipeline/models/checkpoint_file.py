"""Checkpoints of others: safetensors and torch files, read without running anything in them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file

from ..errors import UserError


def read_checkpoint(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The state dict in a .safetensors or a torch file; a pickle can give tensors and run nothing.

    Raises
    ------
    UserError
        If the file is not there, is damaged, holds code, or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"model {name}: {path}: no such file; put or link the checkpoint there") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"model {name}: {path}: not a safetensors file ({error}); fetch it again") from None
    except pickle.UnpicklingError as error:
        if blocked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UserError(
                f"model {name}: {path}: refused, because reading it would run code ({blocked[1]}); "
                "save the state dict alone, best as safetensors"
            ) from None
        raise UserError(f"model {name}: {path}: not a torch checkpoint; fetch or save it again") from None
    except (RuntimeError, EOFError, ValueError, KeyError):
        raise UserError(f"model {name}: {path}: a damaged torch checkpoint; fetch or save it again") from None
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise UserError(
            f"model {name}: {path}: holds no state dict; save network.state_dict() and nothing else"
        )
    return {str(key).removeprefix("module."): value for key, value in found.items()}

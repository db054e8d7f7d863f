"""The same bytes each time: torch's global switches, and the digest of all that decides a training."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator

import msgspec
import torch
from torch import nn

from ..datasets.manifest import Manifest
from ..errors import UserError
from ..models.card import recipe_of
from ..params import Model

# raise it when the same recipe would give other weights, or a checkpoint holds other things
_LOOP_VERSION = 3


def training_digest(
    model: Model,
    network: nn.Module,
    train: Manifest,
    val: Manifest | None,
    device: torch.device,
    bf16: bool,
) -> str:
    """Of everything that decides the weights that come out."""
    settings = {
        "loop": _LOOP_VERSION,
        "torch": torch.__version__,
        "architecture": model.architecture,
        "arguments": model.arguments,
        "preprocess": msgspec.to_builtins(model.preprocess),
        "recipe": recipe_of(model),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "bf16": bf16,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    for manifest in (train, val):
        if manifest is not None:
            digest.update("\n".join(manifest.ids).encode())
            digest.update(manifest.digests.tobytes())
            for block in manifest.labels.blocks():
                digest.update(block.data)
        digest.update(b"\0")
    return digest.hexdigest()


def epoch_seed(seed: int, epoch: int) -> int:
    """What an epoch's random numbers follow from, so that a training can go on at any epoch."""
    digest = hashlib.blake2b(f"{seed} {epoch}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")


@contextlib.contextmanager
def reproducible(name: str, deterministic: bool, device: torch.device) -> Iterator[None]:
    """Deterministic algorithms where asked for; torch's global state is as before afterwards.

    Raises
    ------
    UserError
        For an operation that has no deterministic kind, or memory that is too small; names the model.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # cuBLAS reads it when it starts
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    except torch.OutOfMemoryError:
        raise UserError(
            f"model {name}: the memory of {device} is too small; lower models.{name}.train.batch_size"
        ) from None
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
        operation = str(error).split()[0]
        raise UserError(
            f"model {name}: {operation} is not deterministic on {device.type}; set "
            f"models.{name}.train.deterministic: false, or train on the cpu"
        ) from None
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]

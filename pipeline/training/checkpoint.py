"""What a training carries from one epoch to the next, and its checkpoint, from which a killed one goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ..files.atomic import atomic_write
from ..files.digests import sha256_of_file
from ..results.training import Epoch

_FILE = "state.pt"
_DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


@dataclasses.dataclass
class State:
    """All that a training carries from one epoch to the next; the rates follow from the number of epochs.

    `best` are the weights of the best epoch until now, where the recipe keeps that one.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    history: list[Epoch] = dataclasses.field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None

    @property
    def candidate(self) -> nn.Module:
        """The network that would be kept if the training ended now."""
        return self.average.module if self.average else self.network

    def saved(self) -> dict[str, Any]:
        """What `load` takes, as a checkpoint may hold it."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "history": msgspec.to_builtins(self.history),
            "best": self.best,
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Go on from there."""
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average:
            self.average.load_state_dict(saved["average"])
        self.history = msgspec.convert(saved["history"], list[Epoch])
        self.best = saved["best"]


class Checkpoints:
    """The checkpoint of one training, at `<root>/<model>/<digest>/state.pt`.

    `digest` is of all that decides the training, so that the checkpoint of another recipe, other images or
    another machine's arithmetic is never taken up.
    """

    def __init__(self, root: Path, model: str, digest: str) -> None:
        self.of_model = root / model
        self.path = self.of_model / digest / _FILE

    def read(self) -> dict[str, Any] | None:
        """The last state; None where there is none. A damaged one is set aside.

        PyTorch checks no sums: most damaged bytes would be taken for weights, and change what comes out.
        """
        try:
            if self._is_whole():
                saved: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
                return saved
        except FileNotFoundError:
            return None
        aside = self.path.replace(self.path.with_suffix(".damaged"))
        _log.warning("%s: damaged; the training starts anew", aside)
        return None

    def write(self, state: dict[str, Any]) -> None:
        """Replace the last state, whole or not at all."""
        with atomic_write(self.path) as temporary:
            torch.save(state, temporary)
            digest = bytes.fromhex(sha256_of_file(temporary))
            with temporary.open("ab") as file:
                file.write(digest)  # behind the archive's end, where `torch.load` does not look

    def _is_whole(self) -> bool:
        """Whether the last 32 bytes are the SHA-256 of all before them."""
        with self.path.open("rb") as file:
            left = max(self.path.stat().st_size - _DIGEST_BYTES, 0)
            sha256 = hashlib.sha256()
            while block := file.read(min(left, 1 << 20)):
                sha256.update(block)
                left -= len(block)
            return file.read() == sha256.digest()

    def remove(self) -> None:
        """Remove the model's checkpoints, also those that other recipes left."""
        shutil.rmtree(self.of_model, ignore_errors=True)

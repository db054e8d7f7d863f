"""The whole state of a training after an epoch, from which a killed one goes on."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from ..files.atomic import atomic_write

_FILE = "state.pt"


class Checkpoints:
    """The checkpoint of one training, at `<root>/<model>/<digest>/state.pt`.

    `digest` is of all that decides the training, so that the checkpoint of another recipe, other images or
    another machine's arithmetic is never taken up.
    """

    def __init__(self, root: Path, model: str, digest: str) -> None:
        self.of_model = root / model
        self.path = self.of_model / digest / _FILE

    def read(self) -> dict[str, Any] | None:
        """The last state; None where there is none, or what is there cannot be read."""
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except (FileNotFoundError, pickle.UnpicklingError, RuntimeError, EOFError):
            return None

    def write(self, state: dict[str, Any]) -> None:
        """Replace the last state, whole or not at all."""
        with atomic_write(self.path) as temporary:
            torch.save(state, temporary)

    def remove(self) -> None:
        """Remove the model's checkpoints, also those that other recipes left."""
        shutil.rmtree(self.of_model, ignore_errors=True)

"""The door for architectures and their published weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """A checkpoint on this machine.

    Attributes
    ----------
    path : Path
        A .safetensors or a torch file, read with `weights_only=True`.
    classes : tuple of str
        Names of its outputs, in order; empty where nobody says.
    origin : str
        What it is, in words for the model's card; its sha256 is added.
    """

    path: Path
    classes: tuple[str, ...]
    origin: str


class ModelSource(Protocol):
    """Where networks come from: a library, or a file of this package.

    What holds for every source, as the tests in `tests/models/source_tests.py` check it:

    - An architecture is known to one source at most, by a name that is always the same.
    - `build` draws all weights from torch's global generator and nothing else, so that a seed decides them;
      it fetches nothing. The network is in training mode, takes (B, 3, crop, crop) float32 and gives
      (B, num_outputs) logits; its last linear or convolution layer is the head.
    - Under `torch.device("meta")` it builds the same names and shapes without memory for weights, or raises
      NotImplementedError. A crop that it cannot take ends in a RuntimeError, ValueError or AssertionError,
      at the latest when such an image goes through.
    - A network can be traced by torch.fx in eval mode: layers are nodes of its graph.
    - What else decides a network's values is in `options`: it goes into the card and the feature key.
    - `own_names` changes no value, and leaves a state dict that has this package's names already as it is.

    Attributes
    ----------
    name : str
        For messages.
    """

    name: str

    def architectures(self) -> Sequence[str]:
        """The names that it knows."""
        ...

    def build(self, architecture: str, num_outputs: int, crop: int, **options: bool) -> nn.Module:
        """A network with random weights."""
        ...

    def options(self, architecture: str, sha256: str | None = None) -> dict[str, bool]:
        """What `build` must be told for a checkpoint of this sha256, or for drawn weights."""
        ...

    def preprocessing(self, architecture: str, tag: str) -> dict[str, Any] | None:
        """What the published weights of a tag were trained with, by the keys of params; None: nobody says.

        Fetches nothing.

        Raises
        ------
        UserError
            If there are no such weights.
        """
        ...

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """The published weights of a tag, `imagenet` for one; fetched where they are not at hand.

        Raises
        ------
        UserError
            If there are none (says what there is instead), or they cannot be fetched (says where to put
            the file).
        """
        ...

    def own_names(self, architecture: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A checkpoint of any age in the names that `build`'s network has, without what it has not."""
        ...

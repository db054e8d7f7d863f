"""The door for architectures and their published weights."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from ...errors import UserError
from ...files.hints import did_you_mean


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
        What it is, in words for the model's card, with its licence where that is known; its sha256 is added.
    """

    path: Path
    classes: tuple[str, ...]
    origin: str


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """What cuts texts for a network's text tower.

    Attributes
    ----------
    encode : function
        Of n texts: (n, L) int64 tokens. With a number, the context is longer by so many tokens.
    about : dict
        All that decides the tokens, as plain JSON values.
    """

    encode: Callable[..., torch.Tensor]
    about: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ModelSource(abc.ABC):
    """Where networks come from: a library, a file of the user's, or one of this package.

    What holds for every source, as the tests in `tests/models/source_tests.py` check it:

    - An architecture is spelt as one source spells its own, and is known by a name that is always the same.
    - `build` draws all weights from torch's global generator and nothing else, so that a seed decides them;
      it fetches nothing. The network is in training mode, takes (B, 3, crop, crop) float32 and, where it has
      a head, gives (B, num_outputs) logits.
    - Under `torch.device("meta")` it builds the same names and shapes without memory for weights, or raises
      NotImplementedError. A crop that it cannot take ends in a RuntimeError, ValueError or AssertionError,
      at the latest when such an image goes through.
    - What else decides a network's values is in `options`: it goes into the card and the feature key.
    - `own_names` leaves a state dict that has this package's names and shapes already as it is.
    - What a source needs beyond the pipeline's packages is imported when it is asked for; where it is
      missing, `check` names the extra that brings it.

    Attributes
    ----------
    name : str
        For messages.
    root : Path
        The project's folder, where files that an architecture names are.
    """

    name: ClassVar[str]
    root: Path = Path()

    @abc.abstractmethod
    def spells(self, architecture: str) -> bool:
        """Whether a name is written as this source's are, be there such a network or not."""

    @abc.abstractmethod
    def architectures(self) -> Sequence[str]:
        """The names that it knows; none where there is no list."""

    def check(self, architecture: str) -> None:
        """Refuse a name that it spells and does not know; `UserError` has the nearest."""
        known = self.architectures()
        if architecture not in known:
            hint = did_you_mean(architecture, known, most=3)
            raise UserError(f"architecture {architecture}: no {self.name}{hint}")

    def files(self, architecture: str) -> tuple[str, ...]:
        """Files of the project, from its root, that an architecture is made from."""
        return ()

    @abc.abstractmethod
    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """A network with random weights."""

    def heads(self, architecture: str, network: nn.Module) -> tuple[str, ...]:
        """Names of its classifiers, that of the logits first; none where it gives no logits."""
        names = [n for n, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
        return tuple(names[-1:])

    def options(self, architecture: str, sha256: str | None = None) -> dict[str, Any]:
        """What `build` must be told for a checkpoint of this sha256, or for drawn weights; plain JSON."""
        return {}

    def preprocessing(self, architecture: str, tag: str) -> dict[str, Any] | None:
        """What the published weights of a tag were trained with, by the keys of params; None: nobody says.

        Fetches nothing.

        Raises
        ------
        UserError
            If there are no such weights.
        """
        return None

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """The published weights of a tag, `imagenet` or `pretrained`; fetched where they are not at hand.

        Raises
        ------
        UserError
            If there are none (says what there is instead), or they cannot be fetched (says where to put
            the file).
        """
        raise UserError(f"weights: {architecture} has no published weights; give random, or a file")

    def own_names(
        self, architecture: str, state: Mapping[str, torch.Tensor], network: nn.Module
    ) -> dict[str, torch.Tensor]:
        """A checkpoint of any age in the names and shapes of `network`, without what that has not.

        `network` is this architecture's, on shapes alone, with a head of width 1.
        """
        return dict(state)

    def tokenizer(self, architecture: str) -> Tokenizer:
        """What cuts texts for the network's `encode_text`, whose space is that of its node `image`.

        Raises
        ------
        UserError
            If the network has no text tower, or the tokenizer's files cannot be fetched (says where to put
            them).
        """
        raise UserError(f"{architecture} has no text tower; models of open_clip have one")

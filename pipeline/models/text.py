"""Vectors of words, by the text tower that was trained beside a model's image tower."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import UserError
from ..progress import progress
from .card import ModelCard, read_card
from .network import load_network
from .sources import Tokenizer, source_of

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TextTower:
    """A stored model whose texts can be asked for."""

    network: nn.Module
    tokenizer: Tokenizer
    origin: str

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The (n, D) float32 vectors of n texts as `encode_text` gives them, not normalised.

        Each goes through alone, in float32 on the CPU, so that its bits depend on no other text; a batch
        would hardly be faster. What is longer than the model's context is cut, and told in a line.

        Raises
        ------
        UserError
            If the checkpoint does not have all of the text tower.
        """
        _tell_what_is_cut(self.tokenizer, texts)
        with torch.inference_mode():
            rows = [self._encode(text) for text in progress(texts, desc="texts", unit="text")]
        vectors: np.ndarray = torch.cat(rows).float().numpy()
        self._check_finite(vectors)
        return vectors

    def scale_and_bias(self) -> tuple[float, float]:
        """Of the model's logit of an image and a text: scale times their cosine, plus bias."""
        own = dict(self.network.named_parameters())
        scale = own["logit_scale"].exp().item()
        bias = own["logit_bias"].item() if "logit_bias" in own else 0.0
        self._check_finite(np.array([scale, bias]))
        return scale, bias

    def _check_finite(self, values: np.ndarray) -> None:
        if not np.isfinite(values).all():  # what a checkpoint lacks is NaN
            raise UserError(f"{self.origin}: it does not have all of the text tower; give another checkpoint")

    def _encode(self, text: str) -> torch.Tensor:
        tokens = self.tokenizer.encode([text])
        vector: torch.Tensor = self.network.encode_text(tokens, normalize=False)  # type: ignore[operator]
        return vector


def load_text_tower(model_dir: Path | str, root: Path = Path()) -> TextTower:
    """The text tower of a model's folder (`data/models/<name>`).

    Parameters
    ----------
    root : Path
        The project's folder.

    Raises
    ------
    UserError
        If the model has none, or its tokenizer is not to be had.
    """
    card = read_card(model_dir)
    tokenizer = _tokenizer(card, root)
    return TextTower(load_network(model_dir, root), tokenizer, f"{Path(model_dir)} ({card.origin})")


def text_key(model_dir: Path | str, root: Path = Path()) -> dict[str, Any]:
    """All that decides a text's vector, as plain JSON values; builds no network.

    Raises
    ------
    UserError
        As `load_text_tower`.
    """
    card = read_card(model_dir)
    return {
        "architecture": card.architecture,
        "weights_sha256": card.weights_sha256,
        "network": card.options,
        **_tokenizer(card, root).about,
        "open_clip": version("open_clip_torch"),
    }


def _tokenizer(card: ModelCard, root: Path) -> Tokenizer:
    return source_of(card.architecture, root).tokenizer(card.architecture)


def _tell_what_is_cut(tokenizer: Tokenizer, texts: Sequence[str]) -> None:
    """One more token of context is taken up by a text that is too long alone."""
    after = tokenizer.encode(["", *texts], 1)[:, -1]
    for text, last in zip(texts, after[1:], strict=True):
        if last != after[0]:
            length = tokenizer.about["context_length"]
            _log.warning("the model reads %d tokens; the end of this text is cut: %s", length, text)

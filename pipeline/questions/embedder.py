"""What makes vectors of images and words that are not stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ..params import Params
from ..project import Project
from ..store.feature_file import FeatureFile
from .subjects import embed_files, embed_words


class Embedder(Protocol):
    """Makes vectors that can be compared with the rows of a stored layer.

    They have the bits that the extraction would store, and do not depend on what else is asked for. What
    the layer's model cannot make is refused with a `UserError`.
    """

    def images(self, images: Sequence[Path | bytes], features: FeatureFile, layer: str) -> np.ndarray:
        """The (n, D) vectors of n image files, or of the bytes of such."""

    def words(self, texts: Sequence[str], features: FeatureFile, layer: str) -> np.ndarray:
        """The (n, D) vectors of n texts."""


@dataclasses.dataclass(frozen=True)
class InProcess:
    """Makes them here, by the project's own models."""

    params: Params
    project: Project

    def images(self, files: Sequence[Path], features: FeatureFile, layer: str) -> np.ndarray:
        """As `Embedder.images`."""
        return embed_files(files, features, layer, self.params, self.project)

    def words(self, texts: Sequence[str], features: FeatureFile, layer: str) -> np.ndarray:
        """As `Embedder.words`."""
        return embed_words(texts, features, layer, self.params, self.project)

"""What makes vectors of images and words that are not stored."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ..params import Params
from ..project import Project
from ..store.feature_file import FeatureFile
from .open_models import Asked, OpenModels, Picture
from .space import Space


class Embedder(Protocol):
    """Makes vectors that can be compared with the rows of a stored layer.

    They have the bits that the extraction would store, and do not depend on what else is asked for. What
    the layer's model cannot make is refused with a `UserError`.
    """

    def images(self, images: Sequence[Path | bytes], features: FeatureFile, layer: str) -> np.ndarray:
        """The (n, D) vectors of n image files, or of the bytes of such."""

    def words(self, texts: Sequence[str], features: FeatureFile, layer: str) -> np.ndarray:
        """The (n, D) vectors of n texts."""


class InProcess:
    """Makes them here, by the project's own models, which stay open."""

    def __init__(self, params: Params, project: Project) -> None:
        self._params, self._models = params, OpenModels(project)
        self._lock = threading.Lock()

    def images(self, images: Sequence[Path | bytes], features: FeatureFile, layer: str) -> np.ndarray:
        """As `Embedder.images`."""
        pictures = tuple(map(Picture.of, images))
        return self._vectors(Asked(Space.of(features, layer), self._params, images=pictures))

    def words(self, texts: Sequence[str], features: FeatureFile, layer: str) -> np.ndarray:
        """As `Embedder.words`."""
        return self._vectors(Asked(Space.of(features, layer), self._params, texts=tuple(texts)))

    def _vectors(self, asked: Asked) -> np.ndarray:
        with self._lock:
            return self._models.vectors(asked)

"""The networks of open_clip: an image tower, and the text tower of the same space."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from .source import ModelSource


class OpenClipSource(ModelSource):
    """As `ModelSource` says; a name is `open_clip/ViT-B-32`, with the tag of its weights after a dot."""

    name: ClassVar[str] = "open_clip model"

    def spells(self, architecture: str) -> bool:
        """By its prefix."""
        return architecture.startswith("open_clip/")

    def architectures(self) -> tuple[str, ...]:
        """None yet."""
        return ()

    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """Not yet."""
        raise NotImplementedError

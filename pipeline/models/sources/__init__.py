"""Model sources: one file each, and their registry."""

from __future__ import annotations

from ...errors import UserError
from ...files.hints import did_you_mean
from .caffenet import CaffeNetSource
from .source import ModelSource, PublishedWeights
from .torchvision import TorchvisionSource

__all__ = ["SOURCES", "ModelSource", "PublishedWeights", "architectures", "source_of"]

SOURCES: tuple[ModelSource, ...] = (CaffeNetSource(), TorchvisionSource())


def architectures() -> list[str]:
    """Every name that a source knows."""
    return [name for source in SOURCES for name in source.architectures()]


def source_of(architecture: str) -> ModelSource:
    """The source that knows an architecture; `UserError` names the nearest where none does."""
    for source in SOURCES:
        if architecture in source.architectures():
            return source
    known = architectures()
    hint = did_you_mean(architecture, known, most=3) or f"; there are {', '.join(known)}"
    kinds = " and no ".join(source.name for source in SOURCES)
    raise UserError(f"architecture {architecture}: not {kinds}{hint}")

"""Model sources: one file each, and their registry."""

from __future__ import annotations

from pathlib import Path

from ...errors import UserError
from ...files.hints import did_you_mean
from .caffenet import CaffeNetSource
from .open_clip import OpenClipSource
from .own import OwnSource
from .source import ModelSource, PublishedWeights, Tokenizer
from .timm import TimmSource
from .torchvision import TorchvisionSource

__all__ = ["SOURCES", "ModelSource", "PublishedWeights", "Tokenizer", "source_of"]

SOURCES: tuple[type[ModelSource], ...] = (
    CaffeNetSource,
    TorchvisionSource,
    TimmSource,
    OpenClipSource,
    OwnSource,
)


def source_of(architecture: str, root: Path = Path()) -> ModelSource:
    """The source that knows an architecture; `UserError` names the nearest where none does.

    Parameters
    ----------
    root : Path
        The project's folder.
    """
    for kind in SOURCES:
        source = kind(root)
        if source.spells(architecture):
            source.check(architecture)
            return source
    _, slash, name = architecture.rpartition("/")
    hint = did_you_mean(architecture, (f"timm/{name}", f"open_clip/{name}")) if slash else ""
    raise UserError(
        f"architecture {architecture}: of no source{hint}; write caffenet, a network of torchvision, "
        "timm/<name>, open_clip/<name>, or <file>.py:<function>"
    )

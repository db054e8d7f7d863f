"""The zero-shot probe: the classes asked for in words, by the text tower of the layer's model."""

from __future__ import annotations

from typing import Any

from ..errors import UserError
from .kind import Probe, ProbeTask


def decided_by(task: ProbeTask) -> dict[str, Any]:
    """The templates and the text tower."""
    raise UserError(f"probe.{task.name}.kind: zeroshot is not built yet; write linear or knn")


def train(task: ProbeTask) -> Probe:
    """Ask for every class by the mean of its texts."""
    raise UserError(f"probe.{task.name}.kind: zeroshot is not built yet; write linear or knn")

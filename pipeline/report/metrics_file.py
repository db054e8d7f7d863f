"""A metrics file of any stage, as pairs of a name and a number in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_measures(path: Path) -> tuple[tuple[str, str], ...]:
    """The numbers and words of a JSON file, nested names joined by spaces; nothing where there is no file."""
    return _pairs(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ()


def short(value: float) -> str:
    """A number with four digits that count."""
    return f"{value:.4g}".replace("-", "−")


def _pairs(metrics: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for name, value in metrics.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            pairs += _pairs(value, f"{words} ")
        elif isinstance(value, float):
            pairs.append((words, short(value)))
        elif value is not None and not isinstance(value, list):
            pairs.append((words, str(value)))
    return tuple(pairs)

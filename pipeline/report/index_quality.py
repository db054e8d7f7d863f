"""What each index finds, as the page shows it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .pictures import Picture, chart


@dataclasses.dataclass(frozen=True)
class IndexQuality:
    """One index: its FAISS factory, its measures, and its recall against its work."""

    name: str
    factory: str
    measures: Mapping[str, float]
    pareto: Picture | None


def read_index_quality(names: Sequence[str], data: Path, reports: Path) -> tuple[IndexQuality, ...]:
    """Read it for the layers in `names` that have an index."""
    found = []
    for name in names:
        metrics = reports / "metrics/search" / f"{name}.json"
        card = data / "indexes" / f"{name}.json"
        if metrics.is_file() and card.is_file():
            pareto = reports / "search" / name / "pareto.png"
            found.append(
                IndexQuality(
                    name,
                    json.loads(card.read_text(encoding="utf-8"))["factory"],
                    json.loads(metrics.read_text(encoding="utf-8")),
                    chart(pareto) if pareto.is_file() else None,
                )
            )
    return tuple(found)

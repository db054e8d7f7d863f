"""The curves of the trainings, as paths of small charts."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT = 320, 150  # of the plotting area, in the units of the chart's view box


@dataclasses.dataclass(frozen=True)
class Line:
    """One model's curve: an SVG path, and its last value."""

    model: str
    path: str
    last: float


@dataclasses.dataclass(frozen=True)
class Chart:
    """One metric by epoch, a line a model."""

    metric: str
    lowest: float
    highest: float
    epochs: int
    lines: tuple[Line, ...]


def training_charts(folder: Path, models: Sequence[str]) -> tuple[Chart, ...]:
    """A chart a metric, from the TSV files that DVCLive writes under `folder`/<model>/plots/metrics."""
    curves: dict[str, dict[str, list[float]]] = {}
    for model in models:
        metrics = folder / model / "plots" / "metrics"
        for file in sorted(metrics.rglob("*.tsv")):
            values = _values(file)
            if values:
                curves.setdefault(file.relative_to(metrics).with_suffix("").as_posix(), {})[model] = values
    return tuple(_chart(metric, by_model) for metric, by_model in sorted(curves.items()))


def _values(file: Path) -> list[float]:
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [float(row[file.stem]) for row in csv.DictReader(stream, delimiter="\t")]
    return [value for value in rows if math.isfinite(value)]


def _chart(metric: str, by_model: dict[str, list[float]]) -> Chart:
    everything = [value for values in by_model.values() for value in values]
    low, high = min(everything), max(everything)
    epochs = max(len(values) for values in by_model.values())
    lines = []
    for model, values in by_model.items():
        steps = [
            f"{WIDTH * (i / (epochs - 1) if epochs > 1 else 0.5):.1f},"
            f"{HEIGHT * (1 - (value - low) / (high - low) if high > low else 0.5):.1f}"
            for i, value in enumerate(values)
        ]
        # a single epoch is a dot: a line of no length with round ends
        lines.append(Line(model, "M" + "L".join(steps if len(steps) > 1 else steps * 2), values[-1]))
    return Chart(metric, low, high, epochs, tuple(lines))

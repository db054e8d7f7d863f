"""Points on paper: a window around them, without ticks, and marks that do not cover each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .canvas import new_figure, save_figure

VECTORS_UP_TO = 5000  # points; beyond it they are one picture inside the SVG


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes placed in inches: windows of a fixed shape leave no gaps then."""
    figure.set_layout_engine("none")
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def frame(axes: Axes, points: np.ndarray) -> None:
    """A window around all points, without ticks: the axes of most maps mean nothing."""
    (left, bottom), (right, top) = _window(points)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(visible=True, color="#c8c8c8", linewidth=0.6)


def scatter(
    axes: Axes, points: np.ndarray, size: float, faces: Any, edges: Any, width: float, rasterized: bool
) -> None:
    """Dots of `size` square points."""
    axes.scatter(
        points[:, 0], points[:, 1], s=size, facecolors=faces, edgecolors=edges, linewidths=width,
        rasterized=rasterized,
    )  # fmt: skip


def marker_size(count: int, largest: float) -> float:
    """In square points: so that many images do not cover each other, and few are seen."""
    return float(np.clip(20_000 / max(count, 1), 1.0, largest))


def shape(points: np.ndarray) -> float:
    """Width over height of the window."""
    low, high = _window(points)
    return float((high[0] - low[0]) / (high[1] - low[1]))


def draw_words(title: str, lines: Sequence[str], stem: Path | str) -> None:
    """A figure of words alone, where there is nothing to draw."""
    figure = new_figure(6, 1.2)
    text = textwrap.fill("; ".join(lines), 80)
    figure.text(0.5, 0.75, title, fontsize=11, fontweight="bold", ha="center")
    figure.text(0.5, 0.6, text, fontsize=8, ha="center", va="top")
    save_figure(figure, stem)


def _window(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right corner around all points, in a shape that suits a page."""
    low, high = points.min(axis=0), points.max(axis=0)
    sides = np.maximum(high - low, 1e-9) * 1.06
    sides = np.maximum(sides, [sides[1] * 0.8, sides[0] / 1.5])
    return (low + high - sides) / 2, (low + high + sides) / 2

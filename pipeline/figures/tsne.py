"""The two figures of a t-SNE map: all classes in mean colours, and one small panel a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.tsne import Trust
from .canvas import new_figure, save_figure
from .palette import NO_CLASS, class_colours, mean_colour

_MOST_CLASSES = 40  # shown in the legend and as panels; the most frequent where there are more
_LEGEND_ROWS = 24
_VECTORS_UP_TO = 5000  # points; beyond it they are one picture inside the SVG
_SEVERAL = "several: mean colour"
_RING = "#111111"
_RIM = (0.0, 0.0, 0.0, 0.4)  # so that light colours stand out from the paper
_FAINT = "#dcdcdc"


def draw_map(
    points: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    trust: Trust,
    stem: Path | str,
    *,
    title: str,
) -> None:
    """Draw every image in the mean of its classes' colours; write `stem`.png and `stem`.svg.

    Images with several classes have a dark ring, images without a certain class are grey.

    Parameters
    ----------
    points : (N, 2) float array
    labels : (N, C) int8 array
    classes : C str
    trust : Trust
        Told below the map.
    stem : path without a suffix
    title : str
    """
    colours = class_colours(classes)
    several = (labels == 1).sum(axis=1) > 1
    shown = _most_frequent(labels)
    ratio = _shape(points)
    height = (40 / ratio) ** 0.5
    width = height * ratio
    columns = -(-(len(shown) + 3) // _LEGEND_ROWS)
    letters = max(len(_SEVERAL), *(len(classes[c]) for c in shown)) if shown else len(_SEVERAL)
    column = 0.4 + 0.068 * (letters + 6)
    figure = new_figure(width + column * columns + 0.2, height + 0.95)
    axes = _add_axes(figure, 0.1, 0.5, width, height)
    size = _marker_size(len(points), 24)
    line = 0.9 * (size / 24) ** 0.5
    rasterized = len(points) > _VECTORS_UP_TO
    found = mean_colour(labels, colours)
    for rows, edge in ((~several, _RIM), (several, _RING)):
        axes.scatter(
            points[rows, 0],
            points[rows, 1],
            s=size,
            c=found[rows],
            edgecolors=edge,
            linewidths=line if edge == _RING else 0.4 * line,
            rasterized=rasterized,
        )
    _frame(axes, points)
    axes.set_title(title, fontsize=11, fontweight="bold", pad=10)
    axes.set_xlabel(_trust_text(trust), fontsize=8, labelpad=5)

    counts = (labels == 1).sum(axis=0)
    handles = [_dot(colours[c], f"{classes[c]} ({counts[c]})") for c in shown]
    if len(shown) < len(classes):
        handles.append(Line2D([], [], linestyle="", label=f"and {len(classes) - len(shown)} more classes"))
    if several.any():
        handles.append(_dot(np.ones(3), f"{_SEVERAL} ({several.sum()})", edge=_RING))
    if uncertain := int((~(labels == 1).any(axis=1)).sum()):
        handles.append(_dot(NO_CLASS, f"no certain class ({uncertain})"))
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns, frameon=False,
        fontsize=8.5, handletextpad=0.2, labelspacing=0.55, columnspacing=0.8,
    )  # fmt: skip
    save_figure(figure, stem)


def draw_panels(
    points: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    trust: Trust,
    stem: Path | str,
    *,
    title: str,
) -> None:
    """Draw one small map a class, with its images in colour before all others in grey.

    Rings mark images with further classes, hollow dots images in which the class is only difficult. Above
    each panel the number of images and the class's purity on the map, in the layer, and by chance.

    Parameters
    ----------
    As for `draw_map`.
    """
    colours = class_colours(classes)
    several = (labels == 1).sum(axis=1) > 1
    shown = _most_frequent(labels)
    columns = min(5, max(len(shown), 1))
    rows = max(-(-len(shown) // columns), 1)
    width, height = 1.9, 1.9 / _shape(points)
    across, down = width + 0.12, height + 0.42
    figure = new_figure(max(across * columns + 0.12, 4.4), down * rows + 0.85)
    margin = (figure.get_figwidth() - across * columns + 0.12) / 2
    size = _marker_size(len(points), 9)
    rasterized = len(points) * len(shown) > 8 * _VECTORS_UP_TO
    for place, c in enumerate(shown):
        row, column = divmod(place, columns)
        axes = _add_axes(figure, margin + column * across, 0.5 + (rows - 1 - row) * down, width, height)
        axes.scatter(
            points[:, 0], points[:, 1], s=size * 0.6, color=_FAINT, linewidths=0, rasterized=rasterized
        )
        difficult = labels[:, c] == 0
        axes.scatter(
            points[difficult, 0], points[difficult, 1], s=size, facecolors="white", edgecolors=[colours[c]],
            linewidths=0.6, rasterized=rasterized,
        )  # fmt: skip
        present = labels[:, c] == 1
        for chosen, edge, line in ((present & ~several, _RIM, 0.25), (present & several, _RING, 0.6)):
            axes.scatter(
                points[chosen, 0], points[chosen, 1], s=size * 1.4, facecolors=[colours[c]], edgecolors=edge,
                linewidths=line, rasterized=rasterized,
            )  # fmt: skip
        _frame(axes, points)
        axes.set_title(
            f"{_shortened(classes[c])} ({present.sum()})", fontsize=8.5, fontweight="bold", loc="left", pad=12
        )
        axes.text(0, 1.015, _purity_text(trust, c), transform=axes.transAxes, fontsize=6.5, va="bottom")
    figure.text(
        0.5, 1 - 0.1 / figure.get_figheight(), title, fontsize=11, fontweight="bold", ha="center", va="top"
    )
    omitted = len(classes) - len(shown)
    figure.text(
        0.5,
        0.08 / figure.get_figheight(),
        "ring: further classes as well; hollow: only difficult instances\n"
        f"purity: the share of an image's {trust.neighbors} nearest that show the class too"
        + (f"; {omitted} rarer classes are left out" if omitted else ""),
        fontsize=7.5,
        ha="center",
    )
    save_figure(figure, stem)


def _most_frequent(labels: np.ndarray) -> list[int]:
    """The columns of the classes to show, in their own order."""
    counts = (labels == 1).sum(axis=0)
    return sorted(np.argsort(-counts, kind="stable")[:_MOST_CLASSES].tolist())


def _shortened(name: str) -> str:
    """A class name that fits over a panel."""
    return name if len(name) <= 17 else f"{name[:16]}…"


def _marker_size(count: int, largest: float) -> float:
    """In square points: so that many images do not cover each other, and few are seen."""
    return float(np.clip(20_000 / max(count, 1), 1.0, largest))


def _window(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right corner around all points, in a shape that suits a page."""
    low, high = points.min(axis=0), points.max(axis=0)
    sides = np.maximum(high - low, 1e-9) * 1.06
    sides = np.maximum(sides, [sides[1] * 0.8, sides[0] / 1.5])
    return (low + high - sides) / 2, (low + high + sides) / 2


def _shape(points: np.ndarray) -> float:
    """Width over height of the window."""
    low, high = _window(points)
    return float((high[0] - low[0]) / (high[1] - low[1]))


def _add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes placed in inches: windows of a fixed shape leave no gaps then."""
    figure.set_layout_engine("none")
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def _frame(axes: Axes, points: np.ndarray) -> None:
    """A window around all points, without ticks: the axes of a t-SNE map mean nothing."""
    (left, bottom), (right, top) = _window(points)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(visible=True, color="#c8c8c8", linewidth=0.6)


def _dot(colour: np.ndarray, label: str, edge: str | tuple[float, float, float, float] = _RIM) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker="o", markersize=7, label=label,
        markerfacecolor=to_hex((colour[0], colour[1], colour[2])),
        markeredgecolor=edge, markeredgewidth=0.9,
    )  # fmt: skip


def _trust_text(trust: Trust) -> str:
    kept = f"{trust.neighbors} nearest kept {trust.knn_preservation:.0%}"
    if trust.stability is not None:
        kept += f"   ·   the same from other starts {trust.stability:.0%}"
    return f"KL divergence {trust.kl:.3f}   ·   trustworthiness {trust.trustworthiness:.3f}\n{kept}"


def _purity_text(trust: Trust, c: int) -> str:
    if np.isnan(trust.purity[c]):
        return "too few images for a purity"
    return f"map {trust.purity[c]:.2f}  layer {trust.purity_in_layer[c]:.2f}  chance {trust.chance[c]:.2f}"

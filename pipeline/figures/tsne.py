"""The two figures of a t-SNE map: all classes in mean colours, and one small panel a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from pipeline.analysis.tsne import Trust
from pipeline.figures.canvas import new_figure, save_figure
from pipeline.figures.palette import NO_CLASS, class_colours, mean_colour

_MOST_CLASSES = 40  # shown in the legend and as panels; the most frequent where there are more
_LEGEND_ROWS = 24
_VECTORS_UP_TO = 5000  # points; beyond it they are one picture inside the SVG
_RING = "#111111"
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
    columns = -(-(len(shown) + 2) // _LEGEND_ROWS)
    figure = new_figure(6.4 + 1.75 * columns, 6.9)
    axes = figure.add_subplot()
    size = _marker_size(len(points), 24)
    rasterized = len(points) > _VECTORS_UP_TO
    found = mean_colour(labels, colours)
    for rows, edge, width in ((~several, "white", 0.25), (several, _RING, 0.8)):
        axes.scatter(
            points[rows, 0],
            points[rows, 1],
            s=size,
            c=found[rows],
            edgecolors=edge,
            linewidths=width,
            rasterized=rasterized,
        )
    _frame(axes, points)
    figure.suptitle(title, fontsize=11, fontweight="bold")
    axes.set_xlabel(_trust_text(trust), fontsize=8, labelpad=8)

    counts = (labels == 1).sum(axis=0)
    handles = [_dot(colours[c], f"{classes[c]} ({counts[c]})") for c in shown]
    if len(shown) < len(classes):
        handles.append(Line2D([], [], linestyle="", label=f"and {len(classes) - len(shown)} more classes"))
    if several.any():
        handles.append(_dot("white", f"several: mean colour ({several.sum()})", edge=_RING))
    if uncertain := int((~(labels == 1).any(axis=1)).sum()):
        handles.append(_dot(NO_CLASS, f"no certain class ({uncertain})"))
    figure.legend(
        handles=handles, loc="outside right center", ncols=columns, frameon=False, fontsize=8.5,
        handletextpad=0.2, labelspacing=0.55, columnspacing=0.8,
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
    figure = new_figure(max(2.0 * columns, 5.5), 2.28 * rows + 0.75)
    size = _marker_size(len(points), 9)
    rasterized = len(points) * len(shown) > 8 * _VECTORS_UP_TO
    for place, c in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.scatter(
            points[:, 0], points[:, 1], s=size * 0.6, color=_FAINT, linewidths=0, rasterized=rasterized
        )
        difficult = labels[:, c] == 0
        axes.scatter(
            points[difficult, 0], points[difficult, 1], s=size, facecolors="white", edgecolors=[colours[c]], linewidths=0.6,
            rasterized=rasterized,
        )  # fmt: skip
        present = labels[:, c] == 1
        for chosen, edge, width in ((present & ~several, "none", 0.0), (present & several, _RING, 0.45)):
            axes.scatter(
                points[chosen, 0], points[chosen, 1], s=size * 1.4, color=[colours[c]], edgecolors=edge, linewidths=width,
                rasterized=rasterized,
            )  # fmt: skip
        _frame(axes, points)
        axes.set_title(f"{classes[c]} ({present.sum()})", fontsize=8.5, fontweight="bold", loc="left", pad=12)
        axes.text(0, 1.015, _purity_text(trust, c), transform=axes.transAxes, fontsize=6.5, va="bottom")
    figure.suptitle(title, fontsize=11, fontweight="bold")
    omitted = len(classes) - len(shown)
    figure.supxlabel(
        "ring: further classes as well; hollow: only difficult instances. "
        f"Purity: the share of an image's {trust.neighbors} nearest that show the class too."
        + (f" {omitted} rarer classes are left out." if omitted else ""),
        fontsize=7.5,
    )
    save_figure(figure, stem)


def _most_frequent(labels: np.ndarray) -> list[int]:
    """The columns of the classes to show, in their own order."""
    counts = (labels == 1).sum(axis=0)
    return sorted(np.argsort(-counts, kind="stable")[:_MOST_CLASSES].tolist())


def _marker_size(count: int, largest: float) -> float:
    """In square points: so that many images do not cover each other, and few are seen."""
    return float(np.clip(20_000 / max(count, 1), 1.0, largest))


def _frame(axes: Axes, points: np.ndarray) -> None:
    """A square window around all points, without ticks: the axes of a t-SNE map mean nothing."""
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    half = float((points.max(axis=0) - points.min(axis=0)).max()) / 2 * 1.05 or 1.0
    axes.set(
        xlim=(middle[0] - half, middle[0] + half),
        ylim=(middle[1] - half, middle[1] + half),
        xticks=[],
        yticks=[],
        aspect="equal",
    )
    for spine in axes.spines.values():
        spine.set(visible=True, color="#c8c8c8", linewidth=0.6)


def _dot(colour: np.ndarray | str, label: str, edge: str = "none") -> Line2D:
    return Line2D(
        [], [], linestyle="", marker="o", markersize=7, label=label,
        markerfacecolor=to_hex(colour),
        markeredgecolor=edge, markeredgewidth=1.0,
    )  # fmt: skip


def _trust_text(trust: Trust) -> str:
    parts = [
        f"KL {trust.kl:.3f}",
        f"trustworthiness {trust.trustworthiness:.3f}",
        f"{trust.neighbors} nearest kept {trust.knn_preservation:.0%}",
    ]
    if trust.stability is not None:
        parts.append(f"same from other starts {trust.stability:.0%}")
    return "   ·   ".join(parts)


def _purity_text(trust: Trust, c: int) -> str:
    if np.isnan(trust.purity[c]):
        return "too few images for a purity"
    return f"map {trust.purity[c]:.2f}  layer {trust.purity_in_layer[c]:.2f}  chance {trust.chance[c]:.2f}"

"""The two figures of a map: all classes in mean colours, and one small panel a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.layer_map import MapResult
from ..results.tsne_map import ClassOnMap, TsneResult
from .canvas import new_figure, save_figure
from .lettering import shortened
from .palette import NO_CLASS, class_colours, mean_colour
from .scatter import VECTORS_UP_TO, add_axes, draw_words, frame, marker_size, scatter, shape

_MOST_CLASSES = 40  # shown in the legend and as panels; the most frequent where there are more
_LEGEND_ROWS = 24
_SEVERAL = "several: mean colour"
_RING = "#111111"
_RIM = (0.0, 0.0, 0.0, 0.4)  # so that light colours stand out from the paper
_FAINT = "#dcdcdc"


def draw_map(
    result: TsneResult | MapResult,
    labels: np.ndarray,
    classes: Sequence[str],
    stem: Path | str,
    *,
    title: str,
) -> None:
    """Draw every image in the mean of its classes' colours; write `stem`.png and `stem`.svg.

    Images with several classes have a dark ring, images without a certain class are grey; the map's trust is
    told below it. Where there is no map, the figure says why.

    Parameters
    ----------
    result : TsneResult or MapResult
    labels : (N, C) int8 array
        Of the map's images, in their order.
    classes : C str
    stem : path without a suffix
    title : str
    """
    if not result.points:
        draw_words(title, result.gaps, stem)
        return
    points = np.array(result.points)
    colours = class_colours(classes)
    several = (labels == 1).sum(axis=1) > 1
    handles = _legend_entries(labels, classes, colours)
    ratio = shape(points)
    height = (40 / ratio) ** 0.5
    width = height * ratio
    columns = -(-len(handles) // _LEGEND_ROWS)
    letters = max([len(_SEVERAL), *(len(str(handle.get_label())) - 6 for handle in handles)])
    figure = new_figure(width + (0.4 + 0.068 * (letters + 6)) * columns + 0.2, height + 0.95)
    axes = add_axes(figure, 0.1, 0.5, width, height)
    size = marker_size(len(points), 24)
    line = 0.9 * (size / 24) ** 0.5
    found = mean_colour(labels, colours)
    for rows, edge, thickness in ((~several, _RIM, 0.4 * line), (several, _RING, line)):
        scatter(axes, points[rows], size, found[rows], edge, thickness, len(points) > VECTORS_UP_TO)
    frame(axes, points)
    axes.set_title(title, fontsize=11, fontweight="bold", pad=10)
    axes.set_xlabel(_trust_text(result), fontsize=8, labelpad=5)
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns, frameon=False,
        fontsize=8.5, handletextpad=0.2, labelspacing=0.55, columnspacing=0.8,
    )  # fmt: skip
    save_figure(figure, stem)


def draw_panels(
    result: TsneResult, labels: np.ndarray, classes: Sequence[str], stem: Path | str, *, title: str
) -> None:
    """Draw one small map a class, with its images in colour before all others in grey.

    Rings mark images with further classes, hollow dots images in which the class is only difficult. Above
    each panel the number of images and the class's purity on the map, in the layer, and by chance. Where
    there is no map or no class, the figure says why.

    Parameters
    ----------
    As for `draw_map`.
    """
    if not result.points or not classes:
        draw_words(title, result.gaps, stem)
        return
    points = np.array(result.points)
    shown = _most_frequent(labels)
    columns = min(5, len(shown))
    rows = -(-len(shown) // columns)
    width, height = 1.9, 1.9 / shape(points)
    across, down = width + 0.12, height + 0.42
    figure = new_figure(max(across * columns + 0.12, 4.4), down * rows + 0.85)
    margin = (figure.get_figwidth() - across * columns + 0.12) / 2
    colours = class_colours(classes)
    purity = {part.class_name: _purity_text(part) for part in result.by_class}
    for place, c in enumerate(shown):
        row, column = divmod(place, columns)
        axes = add_axes(figure, margin + column * across, 0.5 + (rows - 1 - row) * down, width, height)
        _draw_panel(axes, points, labels, c, colours[c], len(points) * len(shown) > 8 * VECTORS_UP_TO)
        name = f"{_panel_name(classes[c])} ({(labels[:, c] == 1).sum()})"
        axes.set_title(name, fontsize=8.5, fontweight="bold", loc="left", pad=12)
        told = purity.get(classes[c], "too few images for a purity")
        axes.text(0, 1.015, told, transform=axes.transAxes, fontsize=6.5, va="bottom")
    _caption(figure, title, result, omitted=len(classes) - len(shown))
    save_figure(figure, stem)


def _legend_entries(labels: np.ndarray, classes: Sequence[str], colours: np.ndarray) -> list[Line2D]:
    counts, shown = (labels == 1).sum(axis=0), _most_frequent(labels)
    entries = [_dot(colours[c], f"{shortened(classes[c], 2.4, 8.5)} ({counts[c]})") for c in shown]
    if len(shown) < len(classes):
        entries.append(Line2D([], [], linestyle="", label=f"and {len(classes) - len(shown)} more classes"))
    if several := int(((labels == 1).sum(axis=1) > 1).sum()):
        entries.append(_dot(np.ones(3), f"{_SEVERAL} ({several})", edge=_RING))
    if uncertain := int((~(labels == 1).any(axis=1)).sum()):
        words = "no certain class" if classes else "no labels"
        entries.append(_dot(NO_CLASS, f"{words} ({uncertain})"))
    return entries


def _draw_panel(
    axes: Axes, points: np.ndarray, labels: np.ndarray, c: int, colour: np.ndarray, rasterized: bool
) -> None:
    """One class before all images in grey."""
    size = marker_size(len(points), 9)
    several = (labels == 1).sum(axis=1) > 1
    present, difficult = labels[:, c] == 1, labels[:, c] == 0
    scatter(axes, points, size * 0.6, _FAINT, "none", 0, rasterized)
    scatter(axes, points[difficult], size, "white", [colour], 0.6, rasterized)
    scatter(axes, points[present & ~several], size * 1.4, [colour], _RIM, 0.25, rasterized)
    scatter(axes, points[present & several], size * 1.4, [colour], _RING, 0.6, rasterized)
    frame(axes, points)


def _caption(figure: Figure, title: str, result: TsneResult, omitted: int) -> None:
    """The title above all panels, and the legend below them."""
    above, below = 1 - 0.1 / figure.get_figheight(), 0.08 / figure.get_figheight()
    figure.text(0.5, above, title, fontsize=11, fontweight="bold", ha="center", va="top")
    legend = (
        "ring: further classes as well; hollow: only difficult instances\n"
        f"purity: the share of an image's {result.neighbors} nearest that show the class too"
    ) + (f"; {omitted} rarer classes are left out" if omitted else "")
    figure.text(0.5, below, legend, fontsize=7.5, ha="center")


def _most_frequent(labels: np.ndarray) -> list[int]:
    """The columns of the classes to show, in their own order."""
    counts = (labels == 1).sum(axis=0)
    return sorted(np.argsort(-counts, kind="stable")[:_MOST_CLASSES].tolist())


def _panel_name(name: str) -> str:
    """A class name that fits over a panel."""
    return shortened(name if len(name) <= 17 else f"{name[:16]}…", 1.6, 8.5, bold=True)


def _dot(colour: np.ndarray, label: str, edge: str | tuple[float, float, float, float] = _RIM) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker="o", markersize=7, label=label,
        markerfacecolor=to_hex((colour[0], colour[1], colour[2])),
        markeredgecolor=edge, markeredgewidth=0.9,
    )  # fmt: skip


def _trust_text(result: TsneResult | MapResult) -> str:
    kept = f"{result.neighbors} nearest kept {result.knn_preservation:.0%}"
    if result.stability is not None:
        kept += f"   ·   the same from other starts {result.stability:.0%}"
    told = [f"trustworthiness {result.trustworthiness:.3f}"]
    if isinstance(result, MapResult):
        told += [f"{name} {value:.3g}" for name, value in result.told.items()]
        return "   ·   ".join(told) + f"\n{kept}"
    if result.kl is not None:
        told.insert(0, f"KL divergence {result.kl:.3f}")
    if result.kept and result.kept.placed:
        placed = len(result.kept.placed)
        told.append(f"{placed} of {result.images} placed ({placed / result.images:.1%})")
    return "   ·   ".join(told) + f"\n{kept}"


def _purity_text(part: ClassOnMap) -> str:
    return f"map {part.purity:.2f}  layer {part.purity_in_layer:.2f}  chance {part.chance:.2f}"

"""How alike layers are: heat maps, a dendrogram, and images whose neighborhoods differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..files.atomic import make_folders
from ..images.address import Address
from ..results.comparison import DISTANCE, LABELS, CompareResult, DifferingPair
from ..results.retrieval import ShownQuery
from .canvas import new_figure, save_figure
from .neighbor_sheet import neighbor_sheet

_COLOURS = "Blues"
_CELL = 0.62  # inches
_MOST_NUMBERS = 12  # layers, of which cells have room for numbers


def draw_comparison(result: CompareResult, images: Mapping[str, Address], folder: Path) -> None:
    """Draw all that there is into a folder: heatmap, tree, and a sheet for each pair.

    Parameters
    ----------
    result : CompareResult
    images : {id: address}
    folder : path
    """
    make_folders(folder, filled=True)
    if result.pairs:
        draw_heat_maps(result, folder / "heatmap")
    if result.tree:
        draw_tree(result, folder / "tree")
    for pair in result.differing:
        draw_differing(result, pair, images, folder / pair.sheet)


def draw_heat_maps(result: CompareResult, stem: Path | str) -> None:
    """A square a measure, its layers in the order of the tree; darker is more alike."""
    measures = [m for m in result.measures if any(pair.measure == m for pair in result.pairs)]
    side = _CELL * (len(result.layers) + 1)
    names = max(len(name) for name in result.layers) * 0.075
    figure = new_figure(2 * (side + names + 0.4), -(-len(measures) // 2) * (side + names + 0.6))
    for number, measure in enumerate(measures, start=1):
        axes = figure.add_subplot(-(-len(measures) // 2), 2, number)
        _heat_map(axes, result, measure)
    save_figure(figure, stem)


def _heat_map(axes: Axes, result: CompareResult, measure: str) -> None:
    names = [*result.order]
    if any(pair.measure == measure and pair.second == LABELS for pair in result.pairs):
        names.append(LABELS)
    distance = measure == DISTANCE
    values = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(values, 0.0 if distance else 1.0)
    for row, first in enumerate(names):
        for column, second in enumerate(names):
            if pair := result.pair(first, second, measure):
                values[row, column] = pair.value
    # of a distance the lightest is what independent layers have: where images are few, that is not far
    chances = [pair.chance for pair in result.pairs if pair.measure == DISTANCE]
    most = max([*chances, 1e-6]) if distance else 1.0
    axes.imshow(values, cmap=f"{_COLOURS}_r" if distance else _COLOURS, vmin=0, vmax=most)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{measure} (0 is the same)" if distance else measure, loc="left", fontsize=10)
    if len(names) <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            dark = (1 - value / most if distance else value) > 0.55
            text = "" if np.isnan(value) or row == column else f"{value:.2f}".replace("-", "−")
            axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")


def draw_tree(result: CompareResult, stem: Path | str) -> None:
    """The dendrogram: layers on the left, forks where branches are so far apart on average."""
    figure = new_figure(7.0, 0.8 + 0.34 * len(result.layers))
    axes = figure.add_subplot()
    heights = {layer: float(place) for place, layer in enumerate(result.order)}
    branches = [(heights[layer], 0.0) for layer in result.layers]
    for merge in result.tree:
        (y0, x0), (y1, x1) = branches[merge.left], branches[merge.right]
        x = merge.distance
        axes.plot([x0, x, x, x1], [y0, y0, y1, y1], color="#0072b2", lw=1.6, solid_joinstyle="miter")
        branches.append(((y0 + y1) / 2, x))
    axes.set_yticks(range(len(result.order)), result.order)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(result.order) - 0.5, -0.5)
    axes.set_xlim(0, max(1.05 * result.tree[-1].distance, 1e-3))
    axes.set_xlabel("1 − CKA, the mean between two branches")
    save_figure(figure, stem)


def draw_differing(
    result: CompareResult, pair: DifferingPair, images: Mapping[str, Address], stem: Path | str
) -> None:
    """A row an image: itself, then its nearest in both layers side by side."""
    layers: Sequence[str] = (pair.first, pair.second)
    shown = [
        ShownQuery(
            id=image.id,
            drawn_for=f"{image.shared} of {result.k} nearest shared",
            labels=image.labels,
            neighbors=image.neighbors,
        )
        for image in pair.images
    ]
    title = f"Where {pair.first} and {pair.second} differ most"
    save_figure(neighbor_sheet(shown, layers, images, result.metric, title=title), stem)

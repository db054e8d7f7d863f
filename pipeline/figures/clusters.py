"""The clusters of a layer on its maps, side by side: torn apart on one, a cluster may be whole on another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..results.clusters import NOISE, ClustersResult
from ..results.layer_map import MapResult
from .canvas import new_figure, save_figure
from .palette import class_colours
from .scatter import VECTORS_UP_TO, add_axes, draw_words, frame, marker_size, scatter

_COLUMNS = 3
_SIDE = 3.0  # inches, of a map
_CHARACTER = 0.1  # inches, of a title
_FAINT = "#d4d4d4"
_BEHIND = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}


def draw_clusters(maps: Sequence[MapResult], found: ClustersResult, stem: Path | str, *, title: str) -> None:
    """Draw every map with the clusters in colours and numbers; write `stem`.png and `stem`.svg.

    What is in no cluster is grey. Where there is no map or no cluster, the figure says why.
    """
    maps = [each for each in maps if each.points]
    if not maps or not found.clusters:
        draw_words(title, found.gaps or ("there is no map",), stem)
        return
    columns = min(_COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    across, down = _SIDE + 0.15, _SIDE + 0.4
    width = max(across * columns + 0.15, _CHARACTER * len(title))  # the title of one map alone is wider
    figure = new_figure(width, down * rows + 0.75)
    number_of = dict(zip(found.ids, found.cluster, strict=True))
    for place, each in enumerate(maps):
        row, column = divmod(place, columns)
        axes = add_axes(figure, 0.15 + column * across, 0.4 + (rows - 1 - row) * down, _SIDE, _SIDE)
        numbers = np.array([number_of.get(image, NOISE) for image in each.ids])
        _draw_map(axes, np.array(each.points), numbers, len(found.clusters))
        axes.set_title(each.title, fontsize=9, fontweight="bold", loc="left", pad=5)
    above, below = 1 - 0.1 / figure.get_figheight(), 0.12 / figure.get_figheight()
    figure.text(0.5, above, title, fontsize=11, fontweight="bold", ha="center", va="top")
    told = f"grey: in no cluster ({found.noise} of {found.images})" if found.noise else ""
    figure.text(0.5, below, told, fontsize=8, ha="center")
    save_figure(figure, stem)


def _draw_map(axes: Axes, points: np.ndarray, numbers: np.ndarray, count: int) -> None:
    size, many = marker_size(len(points), 14), len(points) > VECTORS_UP_TO
    colours = class_colours([str(number) for number in range(count)])
    scatter(axes, points[numbers == NOISE], size * 0.6, _FAINT, "none", 0, many)
    inside = numbers != NOISE
    scatter(axes, points[inside], size, colours[numbers[inside] - 1], (0.0, 0.0, 0.0, 0.4), 0.3, many)
    for number in np.unique(numbers[inside]).tolist():
        x, y = np.median(points[numbers == number], axis=0).tolist()
        axes.text(x, y, str(number), fontsize=8, fontweight="bold", ha="center", va="center", bbox=_BEHIND)
    axes.set_box_aspect(1)
    frame(axes, points)
    axes.set_aspect("auto")

"""A map as a table, for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.csv_file import joined, write_csv
from ..results.tsne_map import TsneResult
from .palette import class_colours, hex_colours, mean_colour


def write_map_table(result: TsneResult, labels: np.ndarray, classes: Sequence[str], path: Path | str) -> None:
    """Write a map as CSV: id, x, y, labels (the classes present, joined), colour (#rrggbb).

    Parameters
    ----------
    labels : (N, C) int8
        Of the map's images, in their order.
    """
    present = [joined(classes[c] for c in np.flatnonzero(row == 1).tolist()) for row in labels]
    colours = hex_colours(mean_colour(labels, class_colours(classes)))
    places = [(f"{x:.5f}", f"{y:.5f}") for x, y in result.points]
    rows = zip(result.ids, *zip(*places, strict=True), present, colours, strict=True) if places else []
    write_csv(path, ["id", "x", "y", "labels", "colour"], rows)

"""A map as a table, for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.csv_file import decimals, joined, write_csv
from ..results.layer_map import MapResult
from ..results.tsne_map import TsneResult
from .palette import class_colours, hex_colours, mean_colour


def write_map_table(
    result: TsneResult | MapResult, labels: np.ndarray, classes: Sequence[str], path: Path | str
) -> None:
    """Write a map as CSV: id, x, y, labels (the classes present, joined), colour (#rrggbb).

    Such a file is one of points that `maps.points` reads.

    Parameters
    ----------
    labels : (N, C) int8
        Of the map's images, in their order.
    """
    present = [joined(classes[c] for c in np.flatnonzero(row == 1).tolist()) for row in labels]
    colours = hex_colours(mean_colour(labels, class_colours(classes)))
    form = "{:.6g}" if isinstance(result, MapResult) else "{:.5f}"
    places = [(form.format(x), form.format(y)) for x, y in result.points]
    rows = zip(result.ids, *zip(*places, strict=True), present, colours, strict=True) if places else []
    write_csv(path, ["id", "x", "y", "labels", "colour"], rows)


def write_trust_table(maps: Sequence[MapResult], path: Path | str) -> None:
    """Write a row a map: how far it may be trusted."""
    columns = ["layer", "map", "images", "trustworthiness", "knn_preservation", "stability"]
    rows = [
        (
            each.layer, each.method, each.images, decimals(each.trustworthiness),
            decimals(each.knn_preservation), decimals(each.stability),
        )
        for each in maps
    ]  # fmt: skip
    write_csv(path, columns, rows)

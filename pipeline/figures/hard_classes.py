"""The sheet of a class: its best hits, worst misses and worst false alarms, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..analysis.annotated_objects import ObjectStatistics
from ..analysis.hard_classes import ClassRanking
from ..images.address import Address
from ..results.hard import HardClass
from .canvas import save_figure
from .sheets import Frame, Tile, compose_sheet

_TILES = 6


def draw_class_sheet(
    item: HardClass,
    ranking: ClassRanking,
    stem: Path | str,
    *,
    images: Sequence[Address],
    ids: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    objects: ObjectStatistics | None = None,
) -> None:
    """Draw the sheet of one class to `stem`.png and `stem`.svg.

    Parameters
    ----------
    images : N paths
    ids : (N,) array of str
    scores, labels : (N, C) arrays
        Of `item.model`; the same images.
    classes : sequence of C str
    objects : ObjectStatistics, optional
        Of this class; adds the size of the largest object to the tiles that show one.

    Raises
    ------
    UserError
        If an image is missing or cannot be read.
    """
    column = list(classes).index(item.class_name)

    def tiles(rows: np.ndarray, frame: Frame) -> list[Tile | None]:
        return [_tile(row, frame) for row in rows[:_TILES].tolist()]

    def _tile(row: int, frame: Frame) -> Tile:
        present = [name for name, label in zip(classes, labels[row], strict=True) if label == 1]
        lines = [
            f"{scores[row, column]:+.2f}, place {ranking.ranks[row]}".replace("-", "−"),
            ", ".join(present) or "no class",
        ]
        if objects is not None and np.isfinite(objects.largest[row]):
            largest = 100 * objects.largest[row]
            lines.append(f"largest: {'<1' if largest < 1 else f'{largest:.0f}'} % of the picture")
        return Tile(images[row], str(ids[row]), "\n".join(lines), frame)

    rows = [
        ("best hits", tiles(ranking.hits, "hit")),
        ("worst misses", tiles(ranking.misses, "hit")),
        ("worst false alarms", tiles(ranking.false_alarms, "miss")),
    ]
    sheet = compose_sheet(
        [row for row in rows if row[1]],
        title=f"{item.class_name}: {', '.join(item.why)} ({item.model})",
        caption="Below each image: its logit, its place in the ranking, and the classes that it shows.",
        legend={"hit": f"shows {item.class_name}", "miss": f"shows no {item.class_name}"},
    )
    save_figure(sheet, stem)

"""The sheet that shows what each representation finds near the same queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..analysis.shown_queries import ShownQuery
from ..params import Metric
from ..search.searcher import Neighbor
from .sheets import NEIGHBOR_LEGEND, Frame, Tile, compose_sheet

_TILES_A_LINE = 8

DISTANCE = {
    "cosine": "1 - cosine similarity",
    "l2": "the Euclidean distance",
    "ip": "minus the inner product",
}


def neighbor_sheet(
    queries: Sequence[ShownQuery], images: Mapping[str, Path], metric: Metric, *, title: str
) -> Figure:
    """A row a query: the query, then a group of columns for each representation, nearest first.

    Parameters
    ----------
    queries : sequence of ShownQuery
        All with the same representations, in the same order.
    images : {id: path}
    """
    names = list(queries[0].found)
    k = max(len(found) for query in queries for found in query.found.values())
    lines = math.ceil(k / max(_TILES_A_LINE // len(names), 1))
    across = math.ceil(k / lines)
    rows: list[tuple[str, list[Tile | None]]] = []
    for query in queries:
        first: Tile | None = Tile(images[query.id], Path(query.id).name, " ".join(query.labels), "query")
        for line in range(lines):
            tiles = [first]
            for name in names:
                shown = query.found[name][line * across : (line + 1) * across]
                tiles += [_tile(near, query, images) for near in shown]
                tiles += [None] * (across - len(shown))
            rows.append(("" if line else query.drawn_for, tiles))
            first = None
    columns = [("", 1), *((name, across) for name in names)]
    knows_labels = any(query.labels for query in queries)
    caption = f"Above each image its rank and id; below, {DISTANCE[metric]}, then its labels."
    if knows_labels:
        caption += " The query itself is never its own neighbor."
    legend = NEIGHBOR_LEGEND if knows_labels else None
    return compose_sheet(rows, title=title, caption=caption, columns=columns, legend=legend)


def _tile(near: Neighbor, query: ShownQuery, images: Mapping[str, Path]) -> Tile:
    frame: Frame = "plain"
    if query.labels:
        frame = "hit" if query.shares_label(near.labels) else "miss"
    note = "\n".join([f"{near.distance:.4f}", " ".join(near.labels) or "no label"])
    return Tile(images[near.id], f"{near.rank}  {near.id}", note, frame)

"""The sheet that shows what each representation finds near the same queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..images.address import Address
from ..results.retrieval import Near, ShownQuery
from .sheets import NEIGHBOR_LEGEND, Frame, Tile, compose_sheet

_TILES_A_LINE = 8

DISTANCE = {
    "cosine": "1 − cosine similarity",
    "l2": "the Euclidean distance",
    "ip": "minus the inner product",
}


def neighbor_sheet(
    queries: Sequence[ShownQuery],
    layers: Sequence[str],
    images: Mapping[str, Address],
    metric: str | None,
    *,
    title: str,
    gaps: Sequence[str] = (),
    asked: Mapping[str, Address | str] | None = None,
) -> Figure:
    """A row a query: the query, then a group of columns for each layer, nearest first.

    Parameters
    ----------
    queries : sequence of ShownQuery
        Without any, the sheet says that there is nothing to show, and why.
    layers : sequence of str
        Those to show, from the left.
    images : {id: path}
    metric : str or None
        Of the distances; None only where there are none.
    title : str
    gaps : sequence of str
        Why there may be nothing.
    asked : {id: path or words}, optional
        The queries' images, where they are not of the split that was searched: it may have their ids too. A
        query that is no image is written in words.
    """
    if not queries or metric is None:
        return compose_sheet([], title=title, caption="\n".join(["There is nothing to show.", *gaps]))
    k = max(len(query.neighbors[layer]) for query in queries for layer in layers)
    lines = math.ceil(k / max(_TILES_A_LINE // len(layers), 1))
    across = math.ceil(k / lines)
    rows: list[tuple[str, list[Tile | None]]] = []
    for query in queries:
        picture = (asked or images)[query.id]
        name = query.id if query.id in images else Path(query.id).name  # of a file
        name = name if isinstance(picture, Address) else ""
        first: Tile | None = Tile(picture, name, ", ".join(query.labels), "query")
        for line in range(lines):
            tiles = [first]
            for layer in layers:
                shown = query.neighbors[layer][line * across : (line + 1) * across]
                tiles += [_tile(near, query, images) for near in shown]
                tiles += [None] * (across - len(shown))
            rows.append(("" if line else query.drawn_for or "", tiles))
            first = None
    columns = [("", 1), *((layer, across) for layer in layers)]
    knows_labels = any(query.labels for query in queries)
    caption = f"Above each image its rank and id; below, {DISTANCE[metric]}, then its labels."
    if knows_labels:
        caption += " The query itself is never its own neighbor."
    legend = NEIGHBOR_LEGEND if knows_labels else None
    return compose_sheet(rows, title=title, caption=caption, columns=columns, legend=legend)


def _tile(near: Near, query: ShownQuery, images: Mapping[str, Address]) -> Tile:
    frame: Frame = "plain"
    if query.labels:
        frame = "hit" if query.shares_label(near.labels) else "miss"
    note = f"{near.distance:.4f}".replace("-", "−") + "\n" + (", ".join(near.labels) or "no label")
    return Tile(images[near.id], f"{near.rank}  {near.id}", note, frame)

"""Which queries to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.csv_file import joined, write_csv
from ..labels import Labels
from ..results.retrieval import RetrievalResult

_COLUMNS = ["query", "representation", "rank", "id", "distance", "labels", "shares_label"]


def choose_queries(
    labels: Labels | np.ndarray, classes: Sequence[str], count: int, seed: int
) -> list[tuple[int, str | None]]:
    """Draw images of `count` different classes, none of which shows another's class.

    Images that show one class only are preferred, and classes that have such images. Depends on nothing
    but its arguments, so that every representation is asked the same. Without a class that is shown, any
    images are drawn.

    Parameters
    ----------
    labels : Labels, or (N, C) int8
    classes : sequence of C str
    count, seed : int

    Returns
    -------
    list of (row, class or None)
        As many as there are, at most `count`.
    """
    rng = np.random.default_rng(seed)
    labels = Labels.taken(labels)
    if not labels.shown().any():
        rows = rng.choice(len(labels), min(count, len(labels)), replace=False)
        return [(int(row), None) for row in rows]
    chosen: list[tuple[int, str | None]] = []
    images_of, sizes = labels.images_of_classes(), labels.present().sum(axis=1)
    plainest = [sizes[rows].min(initial=len(classes)) for rows in images_of]
    taken = np.zeros(len(labels), bool)  # images that show a class that an image was drawn for
    for column in sorted(rng.permutation(len(classes)), key=lambda column: plainest[column]):
        candidates = images_of[column][~taken[images_of[column]]]
        shown_before = [row for row, _ in chosen]
        if np.isin(shown_before, images_of[column]).any() or not len(candidates):
            continue
        plain = candidates[sizes[candidates] == sizes[candidates].min()]
        chosen.append((int(rng.choice(plain)), classes[column]))
        taken[images_of[column]] = True
        if len(chosen) == count:
            break
    return chosen


def write_neighbors(result: RetrievalResult, path: Path | str) -> None:
    """Write the lists as CSV, each query itself as rank 0; ids stay as they are, labels are `joined`."""
    rows: list[list[object]] = []
    for query in result.queries:
        for layer in result.layers:
            rows.append([query.id, layer, 0, query.id, 0.0, joined(query.labels), True])
            for near in query.neighbors[layer]:
                found = [near.rank, near.id, near.distance, joined(near.labels)]
                rows.append([query.id, layer, *found, query.shares_label(near.labels)])
    write_csv(path, _COLUMNS, rows)

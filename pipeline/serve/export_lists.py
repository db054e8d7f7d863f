"""The nearest of every image in a layer, as files that a page can look up: see `serve.export`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.neighbor_graph import how_searched, open_graph
from ..errors import UserError
from ..questions.open_store import OpenStore
from ..search.exact import ExactSearch
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from .listing import file_of
from .plain_files import write_bytes

_log = logging.getLogger(__name__)
LISTS = 64  # rows in a file
DEPTH = 100  # neighbors of a row, at most


def write_layer(store: OpenStore, layer: str, data: Path, number: int) -> tuple[dict[str, Any], list[str]]:
    """Write the lists of the nearest; gives what is known of the splits, and what is to be said of them."""
    files = {split: store.file(layer, split) for split in store.layers[layer]}
    graph, gaps = _graph(store, layer, [file for file, _ in files.values()])
    depths: dict[str, dict[str, int]] = {split: {} for split in files}
    splits = {}
    for found, (file, own) in files.items():
        pairs = store.random_pairs(layer, found).distances.astype("<f4")
        write_bytes(data / f"pairs/{number}-{store.splits.index(found)}.bin", pairs.tobytes())
        splits[found] = {"searched": len(file), "pairs": len(pairs), "digest": file.layer_digest(own)}
        places = np.append(_places(file, file_of(store, found)), -1)
        for asking, (queries, _) in files.items():
            rows, distances = _nearest(store, layer, graph, queries, file)
            lists = _by_rows(places[rows], distances, queries, file_of(store, asking))
            numbers = number, store.splits.index(asking), store.splits.index(found)
            _write_lists(data / "nearest" / "-".join(map(str, numbers)), *lists)
            depths[asking][found] = rows.shape[1]
    return {"splits": splits, "depths": depths}, gaps


def _graph(
    store: OpenStore, layer: str, files: Sequence[FeatureFile]
) -> tuple[NeighborFile | None, list[str]]:
    """The stored graph of a layer, if it belongs to its features, and a sentence if it is not exact."""
    path = store.project.neighbors(layer)
    if not path.is_file():
        return None, []
    try:
        graph = open_graph(path, files, layer.partition("/")[2])
    except UserError:
        _log.warning(
            "%s: its stored neighbors are not of the features that there are; they are searched", layer
        )
        return None, []
    return (graph, how_searched(graph)) if graph.metric == store.params.index.metric else (None, [])


def _nearest(
    store: OpenStore, layer: str, graph: NeighborFile | None, queries: FeatureFile, file: FeatureFile
) -> tuple[np.ndarray, np.ndarray]:
    """The (N, k) nearest rows of each row of a split, and how far they are."""
    if graph is not None:
        rows, distances = graph.nearest(queries.split, file.split)
        return rows[:, :DEPTH], distances[:, :DEPTH]
    own = layer.partition("/")[2]
    search = ExactSearch(file.layer(own), store.params.index.metric)
    alike = queries is file
    k = min(DEPTH, len(file) - alike)
    if k < 1:
        return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    asked = search.vectors if alike else queries.layer(own)
    distances, rows = search.search(asked, k, exclude=np.arange(len(queries)) if alike else None)
    return rows, distances


def _places(file: FeatureFile, frame: FeatureFile) -> np.ndarray:
    """Where the images of a feature file are in that which numbers the split's; -1 for one that is not."""
    row_of = {name: row for row, name in enumerate(frame.ids.tolist())}
    return np.array([row_of.get(name, -1) for name in file.ids.tolist()], np.int64)


def _by_rows(
    rows: np.ndarray, distances: np.ndarray, file: FeatureFile, frame: FeatureFile
) -> tuple[np.ndarray, np.ndarray]:
    """The lists of all rows of a split in its order; -1 in those of images that the layer does not have."""
    places = _places(file, frame)
    there, shape = places >= 0, (len(frame), rows.shape[1])
    all_rows, all_distances = np.full(shape, -1, "<i4"), np.zeros(shape, "<f4")
    all_rows[places[there]], all_distances[places[there]] = rows[there], distances[there]
    return all_rows, all_distances


def _write_lists(folder: Path, rows: np.ndarray, distances: np.ndarray) -> None:
    for place, start in enumerate(range(0, len(rows), LISTS)):
        piece = slice(start, start + LISTS)
        write_bytes(folder / f"{place}.bin", rows[piece].tobytes() + distances[piece].tobytes())

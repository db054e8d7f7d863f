"""The maps of the layers, from the records of the stages that made them."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NotThere, UserError
from ..files.digests import digest_of
from ..project import Project
from ..questions.open_store import OpenStore
from ..results.layer_map import MapResult
from ..results.record import load_record
from ..results.tsne_map import TsneResult


@dataclasses.dataclass(frozen=True)
class StoredMap:
    """A map of images of a split.

    Attributes
    ----------
    layer : str
        `<model>/<layer>`.
    split, method, title : str
        `tsne`, and as people write it.
    ids : tuple of N str
    points : (N, 2) float64
    labels : (N, C) int8
        As in the feature file.
    classes : tuple of C str
    """

    layer: str
    split: str
    method: str
    title: str
    ids: tuple[str, ...]
    points: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @functools.cached_property
    def digest(self) -> str:
        """Of the ids and points."""
        return digest_of([self.ids, self.points.tolist()])


class Maps:
    """The maps of a project; each is read when it is first asked for, and again when it has changed.

    While a stage makes one anew, its record is away: until then the one before is given.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self._kept: dict[tuple[str, str, str], tuple[int, StoredMap]] = {}
        self._lock = threading.Lock()

    def of_layer(self, store: OpenStore, layer: str) -> list[StoredMap]:
        """All maps of a layer that params.yaml asks for and that there are, t-SNE's first."""
        maps = store.params.maps
        further = [*maps.methods, *maps.points] if layer in maps.of else []
        named = ["tsne"] * (layer in store.params.tsne.of) + further
        return [found for method in named if (found := self._find(store, layer, method))]

    def map(self, store: OpenStore, layer: str, method: str = "tsne") -> StoredMap:
        """One map; `NotThere` where there is none."""
        if layer not in store.layers:
            store.file(layer)  # refuses it
        there = self.of_layer(store, layer)
        for found in there:
            if found.method == method:
                return found
        methods = ", ".join(found.method for found in there)
        raise NotThere(f"{layer} has no map by {method}; there are {methods or 'none'}")

    def _find(self, store: OpenStore, layer: str, method: str) -> StoredMap | None:
        kind = TsneResult if method == "tsne" else MapResult
        path = self.project.result(f"tsne/{layer}" if method == "tsne" else f"maps/{layer}/{method}")
        with self._lock:
            key = store.state, layer, method
            changed, kept = self._kept.get(key, (0, None))
            now = _changed(path)
            if now not in (0, changed) and (found := _read(store, path, kind)):
                self._kept = {old: value for old, value in self._kept.items() if old[0] == store.state}
                self._kept[key] = now, found
                return found
            return kept


def plain_map(store: OpenStore, found: StoredMap) -> dict[str, Any]:
    """In the plain types of JSON, in a square of side 1; labels are numbers of the store's classes."""
    from ..report.map_data import in_square

    x, y = in_square(found.points).T
    return {
        **_about(store, found),
        "ids": list(found.ids),
        "x": x.tolist(),
        "y": y.tolist(),
        "labels": [np.flatnonzero(row == 1).tolist() for row in found.labels],
    }


def arrow_map(store: OpenStore, found: StoredMap) -> bytes:
    """As a stream of Arrow's IPC: id, x, y and labels, in the map's own coordinates."""
    import pyarrow as pa

    schema = pa.schema(
        {"id": pa.string(), "x": pa.float64(), "y": pa.float64(), "labels": pa.list_(pa.string())},
        metadata=_about(store, found),
    )
    columns = [found.ids, found.points[:, 0], found.points[:, 1], list(_names(found))]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _about(store: OpenStore, found: StoredMap) -> dict[str, str]:
    return {"state": store.state, "split": found.split, "method": found.method, "title": found.title}


def _names(found: StoredMap) -> Iterator[list[str]]:
    for row in found.labels:
        yield [found.classes[column] for column in np.flatnonzero(row == 1)]


def _read(store: OpenStore, path: Path, kind: type[TsneResult] | type[MapResult]) -> StoredMap | None:
    """A record's map; None if it has no points, is damaged or of images that the layer does not have."""
    try:
        record = load_record(kind, path)
        file, _ = store.file(record.layer, record.split)
        rows = file.rows(record.ids)
    except UserError:
        return None
    if not record.points:
        return None
    return StoredMap(
        record.layer,
        record.split,
        record.method,
        record.title,
        record.ids,
        np.array(record.points, np.float64),
        file.labels[rows],
        file.classes,
    )


def _changed(path: Path) -> int:
    """When a file was changed, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

"""The maps as a parquet file that Apple's embedding-atlas opens as it is."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ..datasets.manifest import Manifest
from ..files.atomic import atomic_write
from ..files.csv_file import joined
from ..results.clusters import ClustersResult
from .map_data import NEIGHBORS, Neighborhood, PointMap

_THUMBNAIL = (96, 96)
_NEIGHBORS = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])


def write_map_parquet(
    path: Path,
    test: Manifest,
    maps: Sequence[PointMap],
    neighborhoods: Sequence[Neighborhood],
    clusters: Mapping[str, ClustersResult],
    pictures: Mapping[int, Image.Image],
) -> None:
    """Write one row an image that is on a map: id, labels, a small picture, its places, its neighbors.

    Without maps, every image gets a row. The columns of a layer are `x <model>/<layer>`, `y <model>/<layer>`
    of its t-SNE, `x <model>/<layer> umap` and so on of its further maps, `cluster <model>/<layer>` and
    `neighbors <model>/<layer>`. A neighbor is given by its row in this file, as embedding-atlas wants it;
    one that is not in it is left out.

    Parameters
    ----------
    neighborhoods : sequence of Neighborhood
        Written for the layers of `maps` only.
    clusters : {<model>/<layer>: record}
    pictures : {row of the split: small image}
        Rows without one have none in the file.
    """
    rows = np.unique(np.concatenate([m.rows for m in maps])) if maps else np.arange(len(test))
    names = np.array(test.classes, dtype=object)
    present = [names[columns].tolist() for columns in test.labels[rows].each(1)]
    images = [{"bytes": _jpeg(pictures[row])} if row in pictures else None for row in rows.tolist()]
    columns = {
        "id": pa.array(test.ids[rows].tolist(), pa.string()),
        "labels": pa.array([joined(p) for p in present], pa.string()),
        "number of labels": pa.array([len(p) for p in present], pa.int64()),
        "image": pa.array(images, pa.struct([("bytes", pa.binary())])),
    }
    near_of = {near.name: near for near in neighborhoods}
    for point_map in maps:
        places = np.full((len(test), 2), np.nan)
        places[point_map.rows] = point_map.places
        for axis, name in enumerate("xy"):
            columns[f"{name} {point_map.name}"] = pa.array(places[rows, axis], from_pandas=True)
    for layer, found in clusters.items():
        cluster_of = dict(zip(found.ids, found.cluster, strict=True))
        numbers = [cluster_of.get(image) for image in test.ids[rows].tolist()]
        columns[f"cluster {layer}"] = pa.array(numbers, pa.int64())
    for layer in dict.fromkeys(point_map.layer for point_map in maps):
        if near := near_of.get(layer):
            columns[f"neighbors {near.name}"] = pa.array(_within(near, rows), _NEIGHBORS)
    with atomic_write(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def _within(near: Neighborhood, rows: np.ndarray) -> list[dict[str, Any]]:
    """The nearest of `rows` among themselves, as far as the graph reaches."""
    place = np.full(len(near.rows) + 1, -1)  # the last for neighbors that there are none of
    place[rows] = np.arange(len(rows))
    found, kept = place[near.rows[rows]], []
    for own, distances in zip(found, near.distances[rows], strict=True):
        here = np.flatnonzero(own >= 0)[:NEIGHBORS]
        kept.append({"ids": own[here].tolist(), "distances": distances[here].tolist()})
    return kept


def _jpeg(picture: Image.Image) -> bytes:
    # embedding-atlas does not know WebP
    image = picture.copy()
    image.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()

"""The maps as a parquet file that Apple's embedding-atlas opens as it is."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ..files.atomic import atomic_write
from .map_data import Neighborhood, PointMap, TestSplit

_THUMBNAIL = (96, 96)
_NEIGHBORS = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])


def write_map_parquet(
    path: Path,
    split: TestSplit,
    rows: np.ndarray,
    maps: Sequence[PointMap],
    neighborhoods: Sequence[Neighborhood],
    pictures: Mapping[int, Image.Image],
) -> None:
    """Write one row an image: id, labels, a small picture, and per layer its place and its neighbors.

    The columns of a layer are `x <model>/<layer>`, `y <model>/<layer>` and `neighbors <model>/<layer>`. A
    neighbor is given by its row in this file, as embedding-atlas wants it.

    Parameters
    ----------
    rows : (n,) int64
        The rows of the split that are written.
    neighborhoods : sequence of Neighborhood
        Their `rows` are row numbers of the file, from 0 to n - 1.
    pictures : {row of the split: small image}
        Rows without one have none in the file.
    """
    labels = split.labels[rows]
    names = np.array(split.classes, dtype=object)
    present = [names[row == 1].tolist() for row in labels]
    images = [{"bytes": _jpeg(pictures[row])} if row in pictures else None for row in rows.tolist()]
    columns = {
        "id": pa.array(split.ids[rows].tolist(), pa.string()),
        "labels": pa.array([" ".join(p) for p in present], pa.string()),
        "number of labels": pa.array([len(p) for p in present], pa.int64()),
        "image": pa.array(images, pa.struct([("bytes", pa.binary())])),
    }
    for point_map in maps:
        places = np.full((len(split.ids), 2), np.nan)
        places[point_map.rows] = point_map.places
        for axis, name in enumerate("xy"):
            columns[f"{name} {point_map.name}"] = pa.array(places[rows, axis], from_pandas=True)
    for near in neighborhoods:
        pairs = zip(near.rows.tolist(), near.distances.tolist(), strict=True)
        columns[f"neighbors {near.name}"] = pa.array(
            [{"ids": ids, "distances": distances} for ids, distances in pairs], _NEIGHBORS
        )
    with atomic_write(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def _jpeg(picture: Image.Image) -> bytes:
    # embedding-atlas does not know WebP
    image = picture.copy()
    image.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()

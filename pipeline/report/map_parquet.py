"""The maps as a parquet file that Apple's embedding-atlas opens as it is."""

from __future__ import annotations

import concurrent.futures
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.atomic_write import atomic_write
from pipeline.datasets.image_file import read_image
from pipeline.report.atlas import Neighbourhood, PointMap, TestSplit

_THUMBNAIL = (96, 96)
_NEIGHBOURS = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])


def write_map_parquet(
    path: Path,
    split: TestSplit,
    rows: np.ndarray,
    maps: Sequence[PointMap],
    neighbourhoods: Sequence[Neighbourhood],
) -> None:
    """Write one row an image: id, labels, a small picture, and per layer its place and its neighbours.

    The columns of a layer are `x <model>/<layer>`, `y <model>/<layer>` and `neighbors <model>/<layer>`. A
    neighbour is given by its row in this file, as embedding-atlas wants it.

    Parameters
    ----------
    rows : (n,) int64
        The rows of the split that are written.
    neighbourhoods : sequence of Neighbourhood
        Their `rows` are row numbers of the file, from 0 to n - 1.
    """
    labels = split.labels[rows]
    names = np.array(split.classes, dtype=object)
    present = [names[row == 1].tolist() for row in labels]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = list(pool.map(_jpeg, [split.paths[row] for row in rows]))
    columns = {
        "id": pa.array(split.ids[rows].tolist(), pa.string()),
        "labels": pa.array([" ".join(p) for p in present], pa.string()),
        "number of labels": pa.array([len(p) for p in present], pa.int64()),
        "image": pa.array([{"bytes": p} for p in pictures], pa.struct([("bytes", pa.binary())])),
    }
    for point_map in maps:
        places = np.full((len(split.ids), 2), np.nan)
        places[point_map.rows] = point_map.places
        for axis, name in enumerate("xy"):
            columns[f"{name} {point_map.name}"] = pa.array(places[rows, axis], from_pandas=True)
    for near in neighbourhoods:
        pairs = zip(near.rows.tolist(), near.distances.tolist(), strict=True)
        columns[f"neighbors {near.name}"] = pa.array(
            [{"ids": ids, "distances": distances} for ids, distances in pairs], _NEIGHBOURS
        )
    with atomic_write(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def _jpeg(path: Path) -> bytes:
    # embedding-atlas does not know WebP
    image = Image.fromarray(read_image(path))
    image.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()

"""The feature file of a few rows that the tests write, and the seal that makes a changed one valid again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pool5.store.feature_file import write_feature_file
from pool5.store.feature_key import FeatureKey
from pool5.store.header import FEATURES, Kind, write_header

HEADER = 4096
VERSION_1 = Path(__file__).with_name("version1.h5")  # `content(60)`, written before there was version 2


def content(rows: int = 7, seed: int = 0) -> dict[str, Any]:
    """The arguments of `write_feature_file`: a layer `fc` of 5 float32, `pool` of 3 float16, no shapes."""
    rng = np.random.default_rng(seed)
    return {
        "dataset": "d",
        "split": "test",
        "model": "m",
        "classes": ("cat", "dog"),
        "ids": np.array([f"{number:06d}" for number in range(rows)]),
        "digests": rng.integers(0, 256, (rows, 16), dtype=np.uint8),
        "labels": rng.integers(-1, 2, (rows, 2)).astype(np.int8),
        "layers": {
            "fc": rng.normal(size=(rows, 5)).astype("f4"),
            "pool": rng.normal(size=(rows, 3)).astype("f2"),
        },
        "keys": {
            name: FeatureKey("net", "0" * 64, name, {"crop": 224}, "fp32", dtype, 1)
            for name, dtype in (("fc", "float32"), ("pool", "float16"))
        },
    }


def write_small(path: Path, rows: int = 7, **changes: Any) -> Path:
    """Write `content(rows)` with some arguments changed."""
    write_feature_file(path, **content(rows) | changes)
    return path


def seal(path: Path, kind: Kind = FEATURES, rows: list | None = None, header: int = HEADER) -> None:
    """Seal a file anew: `rows` are its datasets' places, by default those that h5py tells."""
    if rows is None:
        with h5py.File(path) as file:
            rows = []
            file.visititems(lambda name, each: rows.extend(place(each)) if "checksums" not in name else None)
    with path.open("r+b") as file:
        write_header(file, header, rows, kind)


def place(each: h5py.HLObject) -> list[tuple[int, int]]:
    """Where in the file an object's rows are, if it has some there."""
    offset = each.id.get_offset() if isinstance(each, h5py.Dataset) else None
    return [(offset, offset + each.nbytes)] if offset is not None and each.nbytes else []

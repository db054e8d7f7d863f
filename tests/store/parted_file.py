"""A feature file with layers in parts, small enough for tests, and the same in one piece."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pool5.store import layer_parts
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from pool5.store.header import PARTED
from tests.store.small_file import content, seal

WIDTH = 16_384  # a row is a page of 64 KiB, a block of them 16 rows
PART_BYTES = 1 << 20


@contextlib.contextmanager
def parts_of(size: int = PART_BYTES) -> Iterator[None]:
    """Layers of more than `size` bytes are written in parts."""
    before, layer_parts.PART_BYTES = layer_parts.PART_BYTES, size
    try:
        yield
    finally:
        layer_parts.PART_BYTES = before


def long_content(rows: int = 50, seed: int = 0, width: int = WIDTH) -> dict[str, Any]:
    """`content(rows)` with two long layers more: `wide` of float32, and `half` of float16."""
    given = content(rows, seed)
    bits = np.random.default_rng(seed).integers(0, 15_000, (rows, 2 * width), dtype=np.uint16)
    given["layers"] |= {"half": bits.view("f2"), "wide": (bits.view("f2")[:, :width] * 2).astype("f4")}
    given["keys"] |= {
        name: FeatureKey("net", "0" * 64, name, {"crop": 224}, "fp32", dtype, 1)
        for name, dtype in (("half", "float16"), ("wide", "float32"))
    }
    return given


def write_parted(path: Path, size: int = PART_BYTES, **given: Any) -> Path:
    """Write `long_content()` with some arguments changed, in parts of `size` bytes."""
    with parts_of(size):
        write_feature_file(path, **long_content() | given)
    return path


def parts_beside(path: Path) -> list[Path]:
    return sorted(path.with_suffix(".parts").iterdir())


Piece = tuple[str, str, int, int]  # file, dataset in it, first row here, rows there


def pieces_of(path: Path, layer: str = "wide") -> list[Piece]:
    with h5py.File(path) as file:
        how = file[f"layers/{layer}"].id.get_create_plist()
        pieces = []
        for number in range(how.get_virtual_count()):
            (first, _), (last, _) = how.get_virtual_vspace(number).get_select_bounds()
            names = how.get_virtual_filename(number), how.get_virtual_dsetname(number)
            pieces.append((*names, first, last + 1 - first))
    return pieces


def join_anew(
    path: Path, pieces: list[Piece], shape: tuple[int, int] = (50, WIDTH), dtype: str = "f4"
) -> None:
    """Put another virtual dataset in the place of the layer `wide`, and seal the file."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    for name, dataset, first, rows in pieces:
        here = h5py.h5s.create_simple(shape)
        here.select_hyperslab((first, 0), (1, 1), block=(rows, shape[1]))
        how.set_virtual(here, name.encode(), dataset.encode(), h5py.h5s.create_simple((rows, shape[1])))
    put_joined(path, how, shape, dtype)


def put_joined(
    path: Path, how: h5py.h5p.PropDCID, shape: tuple[int, int], dtype: str = "f4", limit: int | None = None
) -> None:
    with h5py.File(path, "r+") as file:
        del file["layers/wide"]
        kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
        space = h5py.h5s.create_simple(shape, (limit or shape[0], shape[1]))
        h5py.h5d.create(file.id, b"layers/wide", kind, space, dcpl=how)
    seal(path, PARTED)

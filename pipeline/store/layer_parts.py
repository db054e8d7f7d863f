"""A layer in parts: files beside a feature file, each with some of the layer's rows.

    <split>.h5                                       the feature file, and in it the checksums of all blocks
    <split>.parts/<layer>.<number>.<digest>.part     HDF5 as well: `rows`, and their checksums

The rows that plain HDF5 sees in the feature file are a virtual dataset over those of the parts. Here HDF5
is never let near another file: the name of each part follows from what the feature file's header answers
for, so it is known which virtual dataset there has to be, and each part is opened by itself. The digest in
the name is that of the part's content. So a file that is published anew never overwrites a part of the old.

A part ends where a block of rows does, so that the checksums, and the layer's digest with them, are those of
a file in one piece; and where a page of memory does, so that the rows are one array (`joined_map`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from .checksums import rows_per_block
from .header import Kind, check_header, check_places
from .joined_map import joined_map
from .plain_hdf5 import (
    Spec,
    check_exactly,
    check_names,
    check_spec,
    open_hdf5,
    plain_attributes,
    plain_datasets,
    plain_map,
    virtual_pieces,
)

PART = Kind("pool5-part", 1, "part of a feature file", "extract")
PART_BYTES = 8 << 30  # of a layer's rows in one file
PAGE = 1 << 16  # the largest that common machines have
FOLDER, SUFFIX = ".parts", ".part"


@dataclasses.dataclass(frozen=True)
class Part:
    """What a part says of itself: whose rows these are, and which is the first.

    Attributes
    ----------
    model, split, layer : str
    feature_key : str
        JSON.
    first_row : int
    """

    model: str
    split: str
    layer: str
    feature_key: str
    first_row: int

    def name(self, number: int, checksums: np.ndarray) -> str:
        """The name of the file, the `number`th of its layer, whose blocks have these checksums."""
        about = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(about + b"\n" + checksums.tobytes()).hexdigest()[:32]
        return f"{self.layer}.{number:04}.{digest}{SUFFIX}"


def rows_of_a_part(row_bytes: int) -> int:
    """How many rows a part has: whole blocks and whole pages, at most `PART_BYTES` where that goes."""
    step = _step(row_bytes)
    return max(PART_BYTES // (step * row_bytes), 1) * step


def _step(row_bytes: int) -> int:
    return math.lcm(rows_per_block(row_bytes), PAGE // math.gcd(row_bytes, PAGE))


def parts_folder(path: Path) -> Path:
    """Where the parts of a feature file lie."""
    return path.with_name(path.stem + FOLDER)


def is_joined(dataset: h5py.Dataset) -> bool:
    """Whether a dataset's rows are in other files."""
    return bool(dataset.id.get_create_plist().get_layout() == h5py.h5d.VIRTUAL)


def map_parts(
    beside: Path,
    dataset: h5py.Dataset,
    dtype: np.dtype,
    shape: tuple[int, ...],
    whole: Part,
    checksums: np.ndarray,
) -> np.ndarray:
    """The rows of a layer that is in parts, as one read-only map; none of them is read.

    Parameters
    ----------
    beside : Path
        The folder of the feature file.
    dataset : h5py.Dataset
        In it, for which `virtual_pieces` has been found to be sound.
    dtype, shape
        That it has to have.
    whole : Part
        What the first part has to say of itself.
    checksums : (ceil(N / block_rows), 16) uint8

    Raises
    ------
    ValueError, OSError
        If the virtual dataset is not exactly what it has to be, or a part is missing, another, or damaged
        other than in its rows.
    """
    check_spec(dataset, dtype, shape)
    pieces = virtual_pieces(dataset)
    folder = pieces[0].file.partition("/")[0]
    check_names(folder=folder)
    if not folder.endswith(FOLDER):
        raise ValueError(f"{folder} is no folder of parts")
    row_bytes = dtype.itemsize * shape[1]
    block_rows, step = rows_per_block(row_bytes), _step(row_bytes)

    def mapped() -> Iterator[tuple[int, int, int]]:
        for number, piece in enumerate(pieces):
            if piece.first % step:
                raise ValueError(f"a part of {whole.layer} begins within a block or a page")
            part = dataclasses.replace(whole, first_row=piece.first)
            sums = checksums[piece.first // block_rows : -(-piece.stop // block_rows)]
            name = f"{folder}/{part.name(number, sums)}"
            if (piece.file, piece.dataset) != (name, "rows"):
                raise ValueError(f"{whole.layer} does not lead to {name}, as it should")
            with _opened(beside, name) as file:
                rows = _rows(file, beside / name, part, (dtype, (piece.stop - piece.first, shape[1])), sums)
                yield file.fileno(), rows.offset, rows.nbytes

    return joined_map(mapped(), math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


def _opened(beside: Path, name: str) -> BinaryIO:
    """A part, in a folder that is no link.

    The part may be one, as DVC's cache makes them: what it leads to has to be this part all the same.
    """
    folder, name = name.split("/")
    with contextlib.ExitStack() as at_last:
        try:
            inside = os.open(beside / folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            at_last.callback(os.close, inside)
            part = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=inside)
        except PermissionError:
            raise
        except OSError as error:
            raise ValueError(f"its part {folder}/{name}: {os.strerror(error.errno or 0).lower()}") from None
        if not stat.S_ISREG(os.fstat(part).st_mode):
            os.close(part)
            raise ValueError(f"its part {folder}/{name} is no file")
        return os.fdopen(part, "rb")


def _rows(file: BinaryIO, path: Path, part: Part, spec: Spec, checksums: np.ndarray) -> np.memmap:
    """The rows of an open part, which has to be exactly this one."""
    version, head = check_header(file, path, PART)
    with open_hdf5(file) as h5:
        expected = {"format": PART.format, "format_version": version, **dataclasses.asdict(part)}
        if plain_attributes(h5) != expected:
            raise ValueError(f"{path.name} is the part of something else")
        found = plain_datasets(h5)
        check_exactly(found, {"rows", "checksums/rows"}, "the dataset")
        rows = plain_map(file, found["rows"], *spec)
        sums = plain_map(file, found["checksums/rows"], np.dtype(np.uint8), checksums.shape)
        check_places(head, [rows], h5.userblock_size)
        if not isinstance(rows, np.memmap) or not np.array_equal(sums, checksums):
            raise ValueError(f"{path.name} is the part of something else")
        return rows

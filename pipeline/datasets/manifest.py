"""The manifest: what a split consists of, image by image."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..files.csv_file import csv_text
from ..images.address import Address
from ..labels import Labels

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ["id", "path", "digest", "width", "height", "labels"]
_UNSURE = "?"  # before a class of which an image shows only difficult instances
_BLOCK = 1 << 16  # rows that are text at a time
TEXT = np.dtypes.StringDType()  # one long name does not widen a million others


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One split of a data set, in the order of its split list.

    Columns may be given as any sequences, and labels as an array; they are kept packed.

    Attributes
    ----------
    ids : (N,) array of str, of numpy's StringDType
    paths : (N,) array of str, of numpy's StringDType
        Addresses from `dataset.root`.
    digests : (N, 16) uint8
        BLAKE2b-128 of each file's bytes.
    sizes : (N, 2) int32
        Width and height in pixels, as stored (before EXIF rotation).
    labels : Labels
        Of N images and C classes.
    classes : tuple of C str
    """

    split: str
    classes: tuple[str, ...]
    ids: np.ndarray
    paths: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    labels: Labels

    def __post_init__(self) -> None:
        for name in ("ids", "paths"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), TEXT))
        object.__setattr__(self, "labels", Labels.taken(self.labels))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Manifest:
        """The manifest of some rows (indices or a mask), in the given order."""
        columns = {name: getattr(self, name)[rows] for name in ("ids", "paths", "digests", "sizes", "labels")}
        return dataclasses.replace(self, **columns)


def image_addresses(manifest: Manifest, root: Path | str) -> dict[str, Address]:
    """Where each image is: {id: address}."""
    pairs = zip(manifest.ids.tolist(), manifest.paths.tolist(), strict=True)
    return {name: Address.parse(path, root) for name, path in pairs}


def write_manifest(manifest: Manifest, path: Path | str) -> None:
    """Write `manifest` as CSV: one row an image; the same bytes for the same content.

    The first line names the split, the SHA-256 of all that follows it, and the classes. `0 ?14` among the
    labels is: the first class present, of the fifteenth only difficult instances, no other there.
    """
    with atomic_write(path) as temporary, temporary.open("r+b") as file:
        digest = hashlib.sha256()
        file.write(_first_line(manifest, digest.hexdigest()))  # its length is known, its digest not yet
        for text in _blocks(manifest):
            digest.update(block := text.encode())
            file.write(block)
        file.seek(0)
        file.write(_first_line(manifest, digest.hexdigest()))


def _first_line(manifest: Manifest, digest: str) -> bytes:
    return csv_text(["#", manifest.split, digest, *manifest.classes], [], exact=True).encode()


def _blocks(manifest: Manifest) -> Iterator[str]:
    yield csv_text(_COLUMNS, [], exact=True)
    marks = [str(column) for column in range(len(manifest.classes))]
    marks = [_UNSURE + mark for mark in marks] + marks
    for start in range(0, len(manifest), _BLOCK):
        part = manifest.take(np.arange(start, min(start + _BLOCK, len(manifest))))
        hexadecimal = part.digests.tobytes().hex()
        digests = [hexadecimal[at : at + 32] for at in range(0, len(hexadecimal), 32)]
        bounds, columns, values = part.labels.entries()
        named = [marks[mark] for mark in (columns + values.astype(np.int64) * len(manifest.classes)).tolist()]
        labels = [" ".join(named[a:b]) for a, b in itertools.pairwise(bounds.tolist())]
        first, *rows = zip(
            part.ids.tolist(), part.paths.tolist(), digests, *part.sizes.T.tolist(), labels, strict=True
        )
        yield csv_text(first, rows, exact=True)


def read_manifest(path: Path | str) -> Manifest:
    """Read what `write_manifest` wrote.

    Raises
    ------
    UserError
        If the file is missing or is no manifest.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest", rerun="dataset") from None
    except (ValueError, csv.Error, StopIteration):
        raise UserError(
            f"{path}: not a Pool5 manifest, or changed since it was written, or of an earlier version",
            rerun="dataset",
            force=True,
        ) from None


def _read(file: BufferedReader) -> Manifest:
    first = file.readline()
    _, split, written, *classes = next(csv.reader([first.decode()]))
    if hashlib.file_digest(file, "sha256").hexdigest() != written:
        raise ValueError
    file.seek(len(first))
    import pyarrow as pa  # here, as it takes its time to load, and not everybody reads a manifest
    import pyarrow.csv

    kinds = dict.fromkeys(_COLUMNS, pa.string()) | {"width": pa.int32(), "height": pa.int32()}
    # no object of Python: a thread of Arrow's that still has one when the program ends aborts it
    data = pa.allocate_buffer(os.fstat(file.fileno()).st_size - len(first))
    if file.readinto(memoryview(data)) != len(data):
        raise ValueError
    reader = pa.BufferReader(data)
    table = pa.csv.read_csv(reader, convert_options=pa.csv.ConvertOptions(column_types=kinds))
    if table.column_names != _COLUMNS:
        raise ValueError
    digests = bytes.fromhex("".join(table["digest"].to_pylist()))
    return Manifest(
        split,
        tuple(classes),
        np.array(table["id"].to_pylist(), TEXT),
        np.array(table["path"].to_pylist(), TEXT),
        np.frombuffer(digests, np.uint8).reshape(-1, 16),
        np.stack([table["width"].to_numpy(), table["height"].to_numpy()], axis=1),
        _labels(pa.concat_arrays([pa.array([], pa.string()), *table["labels"].chunks]), len(classes)),
    )


def _labels(cells: pa.StringArray, classes: int) -> Labels:
    import pyarrow.compute as pc

    marks = pc.split_pattern(cells, " ")
    rows, names = pc.list_parent_indices(marks), pc.list_flatten(marks)
    some = pc.not_equal(names, "")
    rows, names = rows.filter(some), names.filter(some)
    columns = pc.ascii_ltrim(names, _UNSURE).cast("int64")
    present = pc.invert(pc.starts_with(names, _UNSURE))
    values = present.to_numpy(zero_copy_only=False)
    return Labels.of(rows.to_numpy(), columns.to_numpy(), values, (len(cells), classes))

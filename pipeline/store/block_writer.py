"""Writing HDF5 whose rows have a checksum a block: laid out first, filled by blocks, the header last."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

from ..machine import take_space
from .checksums import CHECKSUM_BYTES, block_checksums, rows_per_block
from .header import Kind, header_size, write_header

_FILL_BYTES = 16 << 20  # asked of a source at once
_IN_FLIGHT = 3
PAGE = 4096


@dataclasses.dataclass(frozen=True)
class Table:
    """A dataset to be written: its dtype and shape, and where its rows come from.

    `rows(start, stop)` gives a (stop - start, …) array of the dtype.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    rows: Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Joined:
    """An (N, D) dataset whose rows are those of datasets `rows` in other files, and their checksums.

    `parts` are the other files' names, from this one's folder, and the rows of each; HDF5 calls such a
    dataset virtual. Where a file is missing it gives NaN.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    parts: tuple[tuple[str, int], ...]
    checksums: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a dataset's rows and their checksums are in the file."""

    offset: int
    nbytes: int
    checksums_offset: int
    block_rows: int
    table: Table


@dataclasses.dataclass(frozen=True)
class LaidOut:
    """A file with all its structures, whose rows are not written yet; its space on the disk is taken."""

    path: Path
    kind: Kind
    header_size: int
    places: Mapping[str, _Place]
    checksums: Mapping[int, np.ndarray]  # of joined datasets, by their offset

    def fill(self, stop: threading.Event | None = None) -> dict[str, np.ndarray]:
        """Write the rows, their checksums and the header, and sync; gives the checksums of each dataset.

        It ends with an `InterruptedError` soon after `stop` is set.
        """
        stop = stop or threading.Event()
        with self.path.open("r+b") as file, ThreadPoolExecutor(1, "block-writer") as writer:
            sums = {name: _fill(file.fileno(), place, writer, stop) for name, place in self.places.items()}
            for offset, each in self.checksums.items():
                _write_all(file.fileno(), each, offset)
            rows = [(p.offset, p.offset + p.nbytes) for p in self.places.values() if p.nbytes]
            write_header(file, self.header_size, rows, self.kind)
            os.fsync(file.fileno())
        return sums


def lay_out(
    path: Path,
    kind: Kind,
    attributes: Mapping[str, str | int],
    tables: Mapping[str, Table],
    *,
    joined: Mapping[str, Joined] | None = None,
    groups: Iterable[str] = (),
    page: int = PAGE,
) -> LaidOut:
    """Create a file's HDF5 structures, and take the space of every dataset.

    Parameters
    ----------
    attributes : {name: text or number}
        Of the root, beside the format and its version.
    tables : {name: Table}
    joined : {name: Joined}, optional
    groups : iterable of str
        That there are even if nothing is in them.
    page : int
        A power of two; the rows of a dataset that is as long begin at a multiple of it.
    """
    size = max(header_size(2 * len(tables)), page)
    about = {"format": kind.format, "format_version": kind.version, **attributes}
    places = {}
    with (
        told_by_errno(path),
        h5py.File(
            path,
            "w",
            locking=False,  # the file is this process's alone, and its disk may have no locks
            userblock_size=size,
            alignment_threshold=page,
            alignment_interval=page,
        ) as file,
    ):
        for name in sorted(about):  # the order of creation shows in the bytes
            file.attrs[name] = about[name]
        for name in groups:
            file.create_group(name)
        for name, table in tables.items():
            places[name] = _place(file, name, table)
        checksums = dict(_join(file, name, each) for name, each in (joined or {}).items())
    with path.open("r+b") as raw:
        take_space(raw.fileno(), raw.seek(0, os.SEEK_END))
    return LaidOut(path, kind, size, places, checksums)


@contextlib.contextmanager
def told_by_errno(path: Path) -> Iterator[None]:
    """What h5py tells as a RuntimeError when a file cannot be closed is an OSError: the disk is full, say."""
    try:
        yield
    except RuntimeError as error:
        if number := re.search(r"errno = (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


def _place(file: h5py.File, name: str, table: Table) -> _Place:
    block_rows = rows_per_block(table.dtype.itemsize * int(np.prod(table.shape[1:], dtype=int)))
    data = _allocate(file, name, table.shape, table.dtype)
    sums = _allocate_checksums(file, name, -(-table.shape[0] // block_rows), block_rows)
    return _Place(data.id.get_offset() or 0, data.nbytes, sums.id.get_offset() or 0, block_rows, table)


def _join(file: h5py.File, name: str, each: Joined) -> tuple[int, np.ndarray]:
    """Create a dataset that is made of other files' rows; where its checksums belong here, and they.

    HDF5 does not write them: it may not tell of a disk that takes them not.
    """
    properties, first = h5py.h5p.create(h5py.h5p.DATASET_CREATE), 0
    properties.set_fill_value(np.array(np.nan, each.dtype))
    for part, rows in each.parts:
        here = h5py.h5s.create_simple(each.shape)
        here.select_hyperslab((first, 0), (1, 1), block=(rows, each.shape[1]))
        there = h5py.h5s.create_simple((rows, each.shape[1]))
        properties.set_virtual(here, part.encode(), b"rows", there)
        first += rows
    _create(file, name, each.shape, each.dtype, properties)
    block_rows = rows_per_block(each.dtype.itemsize * each.shape[1])
    sums = _allocate_checksums(file, name, len(each.checksums), block_rows)
    return sums.id.get_offset() or 0, np.ascontiguousarray(each.checksums)


def _allocate_checksums(file: h5py.File, name: str, blocks: int, block_rows: int) -> h5py.Dataset:
    sums = _allocate(file, f"checksums/{name}", (blocks, CHECKSUM_BYTES), np.dtype(np.uint8))
    sums.attrs["algorithm"] = "first 16 bytes of SHA-256 of each block of rows"
    sums.attrs["block_rows"] = block_rows
    return sums


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> h5py.Dataset:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # every byte is written below
    return _create(file, name, shape, dtype, properties)


def _create(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype, properties: h5py.h5p.PropDCID
) -> h5py.Dataset:
    properties.set_obj_track_times(False)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype, logical=True)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, dcpl=properties, lcpl=links))


def _fill(descriptor: int, place: _Place, writer: ThreadPoolExecutor, stop: threading.Event) -> np.ndarray:
    """Write all rows of a dataset, and their checksums; hashing goes on beside the reading of the next."""
    length = place.table.shape[0]
    row_bytes = place.nbytes // length if length else 0
    step = place.block_rows * max(1, _FILL_BYTES // max(row_bytes * place.block_rows, 1))
    pending: list[Future[np.ndarray]] = []
    sums = [np.empty((0, CHECKSUM_BYTES), np.uint8)]

    def write(start: int, rows: np.ndarray) -> np.ndarray:
        _write_all(descriptor, rows, place.offset + start * row_bytes)
        return block_checksums(rows, place.block_rows)

    for start in range(0, length, step):
        if stop.is_set():
            raise InterruptedError
        rows = np.ascontiguousarray(place.table.rows(start, min(start + step, length)))
        pending.append(writer.submit(write, start, rows))
        if len(pending) >= _IN_FLIGHT:
            sums.append(pending.pop(0).result())
    whole = np.concatenate(sums + [future.result() for future in pending])
    _write_all(descriptor, whole, place.checksums_offset)
    return whole


def _write_all(descriptor: int, array: np.ndarray, offset: int) -> None:
    if array.nbytes == 0:
        return
    data = array.reshape(-1).view(np.uint8).data
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written

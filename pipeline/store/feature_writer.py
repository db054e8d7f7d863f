"""Writing a feature file: laid out first, filled by blocks of rows, the header last."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..labels import Labels
from ..machine import take_space
from .checksums import CHECKSUM_BYTES, block_checksums, rows_per_block
from .feature_key import FeatureKey
from .header import FEATURES, header_size, write_header
from .layer_shape import LayerShape
from .plain_hdf5 import check_names

_FILL_BYTES = 16 << 20  # asked of a source at once
_IN_FLIGHT = 3
_PAGE = 4096


@dataclasses.dataclass(frozen=True)
class FileHead:
    """What a feature file is about.

    Attributes
    ----------
    dataset, split, model : str
    classes : tuple of C str
    ids : (N,) array of str, all different
    digests : (N, 16) uint8
        BLAKE2b-128 of each image file's bytes.
    labels : Labels
        Of N images and C classes; an array becomes that.
    """

    dataset: str
    split: str
    model: str
    classes: tuple[str, ...]
    ids: np.ndarray
    digests: np.ndarray
    labels: Labels

    def __post_init__(self) -> None:
        if not isinstance(self.labels, Labels):
            object.__setattr__(self, "labels", Labels.dense(np.asarray(self.labels)))


@dataclasses.dataclass(frozen=True)
class LayerSource:
    """A layer to be written: its key, its width, where its rows come from, and what each is as an array.

    `rows(start, stop)` gives a (stop - start, width) array of the key's dtype.
    """

    key: FeatureKey
    width: int
    rows: Callable[[int, int], np.ndarray]
    shape: LayerShape | None = None


def write_feature_file(
    path: Path | str,
    *,
    dataset: str,
    split: str,
    model: str,
    classes: tuple[str, ...],
    ids: np.ndarray,
    digests: np.ndarray,
    labels: Labels,
    layers: Mapping[str, np.ndarray],
    keys: Mapping[str, FeatureKey],
    shapes: Mapping[str, LayerShape] | None = None,
) -> None:
    """Write a feature file from arrays in memory; whole or not at all.

    Parameters
    ----------
    ids : (N,) array of str
    digests : (N, 16) uint8
    labels : Labels, or (N, C) int8
    layers : {layer: (N, D) array of its key's dtype}
    keys : {layer: FeatureKey}
    shapes : {layer: LayerShape}, optional
        Of those layers where it is known.

    Raises
    ------
    UserError
        If an id occurs twice.
    ValueError
        If shapes or dtypes do not go together, or a name is none that params.yaml would take.
    """
    head = FileHead(dataset, split, model, tuple(classes), np.asarray(ids), np.asarray(digests), labels)
    for name, array in layers.items():
        if array.shape[:1] != head.ids.shape or array.dtype != np.dtype(keys[name].dtype):
            raise ValueError(
                f"layer {name}: {array.dtype} {array.shape}, {len(head.ids)} ids, key of {keys[name].dtype}"
            )
    stream_feature_file(
        path,
        head,
        {name: _source_of(array, keys[name], (shapes or {}).get(name)) for name, array in layers.items()},
    )


def _source_of(array: np.ndarray, key: FeatureKey, shape: LayerShape | None) -> LayerSource:
    return LayerSource(key, array.shape[1], lambda start, stop: array[start:stop], shape)


def stream_feature_file(path: Path | str, head: FileHead, layers: Mapping[str, LayerSource]) -> None:
    """Write a feature file from sources that give some rows at a time; whole or not at all.

    The space is taken before the first row is asked for, so a full disk is known at once. Memory stays
    within a few times 16 MiB however many rows there are. The bytes depend on the content alone.
    """
    check_names(dataset=head.dataset, split=head.split, model=head.model)
    for name in layers:
        check_names(layer=name)
    ids = _encoded_ids(head)
    with atomic_write(path) as temporary:
        with told_by_errno(temporary):
            places = _lay_out(temporary, head, ids, layers)
        with temporary.open("r+b") as file, ThreadPoolExecutor(1, "feature-writer") as writer:
            take_space(file.fileno(), file.seek(0, os.SEEK_END))
            for place in places.values():
                _fill(file.fileno(), place, writer)
            write_header(
                file,
                places["ids"].header_size,
                [(p.offset, p.offset + p.nbytes) for p in places.values() if p.nbytes],
            )


@contextlib.contextmanager
def told_by_errno(path: Path) -> Iterator[None]:
    """What h5py tells as a RuntimeError when a file cannot be closed is an OSError: the disk is full, say."""
    try:
        yield
    except RuntimeError as error:
        if number := re.search(r"errno = (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a dataset's rows and their checksums are in the file."""

    header_size: int
    offset: int
    nbytes: int
    checksums_offset: int
    block_rows: int
    length: int
    rows: Callable[[int, int], np.ndarray]


def _encoded_ids(head: FileHead) -> np.ndarray:
    all_ids = [name.encode() for name in head.ids.tolist()]
    if len(set(all_ids)) != len(all_ids):
        seen: set[bytes] = set()
        twice = next(name for name in all_ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise UserError(f"split {head.split}: id {twice.decode()} occurs twice; name each image once")
    encoded = np.array(all_ids, np.bytes_)
    return encoded if encoded.dtype.itemsize else encoded.astype("S1")


def _lay_out(
    path: Path, head: FileHead, ids: np.ndarray, layers: Mapping[str, LayerSource]
) -> dict[str, _Place]:
    """Create the HDF5 structures, with the space of every dataset taken and nothing in it yet."""
    n = len(ids)
    labels, digests = head.labels, np.asarray(head.digests, np.uint8)
    if labels.shape != (n, len(head.classes)) or digests.shape != (n, 16):
        raise ValueError(
            f"{n} ids, {len(head.classes)} classes, labels {labels.shape}, digests {digests.shape}"
        )
    tables = {
        "ids": (h5py.string_dtype("utf-8", ids.dtype.itemsize), (n,), lambda i, j: ids[i:j]),
        "digest": (np.dtype(np.uint8), digests.shape, lambda i, j: digests[i:j]),
        "labels": (np.dtype(np.int8), labels.shape, lambda i, j: np.asarray(labels[i:j])),
    } | {
        f"layers/{name}": (np.dtype(layers[name].key.dtype), (n, layers[name].width), layers[name].rows)
        for name in sorted(layers)
    }
    attributes = _attributes(head, ids, layers)
    size = header_size(2 * len(tables))
    places = {}
    with h5py.File(
        path,
        "w",
        locking=False,  # the file is this process's alone, and its disk may have no locks
        userblock_size=size,
        alignment_threshold=_PAGE,
        alignment_interval=_PAGE,
    ) as file:
        for name in sorted(attributes):  # the order of creation shows in the bytes
            file.attrs[name] = attributes[name]
        file.create_group("layers")
        for name, (dtype, shape, rows) in tables.items():
            block_rows = rows_per_block(dtype.itemsize * int(np.prod(shape[1:], dtype=int)))
            data = _allocate(file, name, shape, dtype)
            blocks = -(-n // block_rows)
            sums = _allocate(file, f"checksums/{name}", (blocks, CHECKSUM_BYTES), np.dtype(np.uint8))
            sums.attrs["algorithm"] = "first 16 bytes of SHA-256 of each block of rows"
            sums.attrs["block_rows"] = block_rows
            places[name] = _Place(
                size, data.id.get_offset() or 0, data.nbytes, sums.id.get_offset() or 0, block_rows, n, rows
            )
    return places


def _attributes(head: FileHead, ids: np.ndarray, layers: Mapping[str, LayerSource]) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "classes": json.dumps(list(head.classes), ensure_ascii=False),
        "dataset": head.dataset,
        "format": FEATURES.format,
        "format_version": FEATURES.version,
        "ids_digest": ids_digest(ids),
        "labels_digest": labels_digest(head.labels.shape, head.labels.blocks()),
        "model": head.model,
        "split": head.split,
    }
    for name, layer in layers.items():
        shape = layer.shape or LayerShape((layer.width,))
        shape.check_fits(layer.width, layer.key.pool)
        attributes |= {f"feature_key.{name}": layer.key.json(), f"shape.{name}": shape.json()}
    return attributes


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> h5py.Dataset:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # every byte is written below
    properties.set_obj_track_times(False)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype, logical=True)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, dcpl=properties, lcpl=links))


def _fill(descriptor: int, place: _Place, writer: ThreadPoolExecutor) -> None:
    """Write all rows of a dataset, and their checksums; hashing goes on beside the reading of the next."""
    row_bytes = place.nbytes // place.length if place.length else 0
    step = place.block_rows * max(1, _FILL_BYTES // max(row_bytes * place.block_rows, 1))
    pending: list[Future[np.ndarray]] = []
    sums: list[np.ndarray] = []

    def write(start: int, rows: np.ndarray) -> np.ndarray:
        _write_all(descriptor, rows, place.offset + start * row_bytes)
        return block_checksums(rows, place.block_rows)

    for start in range(0, place.length, step):
        rows = np.ascontiguousarray(place.rows(start, min(start + step, place.length)))
        pending.append(writer.submit(write, start, rows))
        if len(pending) >= _IN_FLIGHT:
            sums.append(pending.pop(0).result())
    sums += [future.result() for future in pending]
    if sums:
        _write_all(descriptor, np.concatenate(sums), place.checksums_offset)


def _write_all(descriptor: int, array: np.ndarray, offset: int) -> None:
    if array.nbytes == 0:
        return
    data = array.reshape(-1).view(np.uint8).data
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def ids_digest(ids: np.ndarray) -> str:
    """A digest of the ids and their order; `ids` is an (N,) array of bytes."""
    return hashlib.sha256(b"\n".join(ids.tolist())).hexdigest()[:32]


def labels_digest(shape: tuple[int, int], blocks: Iterable[np.ndarray]) -> str:
    """A digest of an (N, C) int8 array of labels, which comes some rows at a time."""
    digest = hashlib.sha256(np.array(shape, "<i8").tobytes())
    for block in blocks:
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def layer_digest(key: FeatureKey, width: int, length: int, checksums: np.ndarray) -> str:
    """A digest of a layer's key and values, from the checksums of its blocks."""
    about = f"{key.hex} {length} {width}\n".encode()
    return hashlib.sha256(about + checksums.tobytes()).hexdigest()[:32]

"""A shard of the row cache: some rows of one layer, immutable and complete in itself.

A head (text, padded to a multiple of 4096 bytes, under its own checksum) names the feature key, the kind of
device that computed the rows, and the checksum of the table that follows: the digests of the image files in
order, the row of each, and a checksum of each block of rows. Then the rows, in the order of their
computing. So a shard means the same in whatever folder, on whatever machine, beside whatever others it is
found, and what is read of it is checked as it is read. Version 1 had the digests in the order of the rows,
which had one checksum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .checksums import CHECKSUM_BYTES, block_checksums, checksum, rows_per_block
from .feature_key import FeatureKey
from .shard_store import Part, ShardStore

SUFFIX = ".rows"
_FIRST_LINE = re.compile(rb"pool5-rows ([12]) ([0-9]+)\n")
_PAGE = 4096
_DIGEST_BYTES = 32
_AT_ONCE = 1 << 20  # bytes: the head and the digests of most shards
_FAR = 64 << 10  # bytes between two rows from which they are read apart
_MOST_READ = 16 << 20  # bytes of rows at a time
_NAMES = {
    1: ("digests_checksum", "key", "length", "rows_sha256", "width"),
    2: ("block_rows", "device", "key", "length", "table_checksum", "width"),
}


class DamagedShard(Exception):  # noqa: N818
    """A shard whose bytes are not those that were written; the message says what is wrong."""


class Table(NamedTuple):
    """Which rows a shard has.

    Attributes
    ----------
    digests : (n, 16) uint8
        BLAKE2b-128 of each image file's bytes, sorted as `sort_key` sorts.
    rows : (n,) int64
        The row of each.
    """

    digests: np.ndarray
    rows: np.ndarray

    def in_order_of_rows(self) -> np.ndarray:
        """The (n, 16) digests, row by row."""
        digests = np.empty_like(self.digests)
        digests[self.rows] = self.digests
        return digests


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """A shard, its rows still where they are stored.

    Attributes
    ----------
    store, name : where it is
    key : FeatureKey
    device : str
        The kind of device that computed the rows; '' where a shard of version 1 does not say so.
    length, width : int
    offset : int
        Of the first row in the file, in bytes.
    block_rows : int
        Rows that share a checksum.
    sums : list of bytes
        The first bytes of each block's SHA-256.
    """

    store: ShardStore
    name: str
    key: FeatureKey
    device: str
    length: int
    width: int
    offset: int
    block_rows: int
    sums: list[bytes]
    _sound: np.ndarray = dataclasses.field(repr=False)  # (blocks,) bool: found so by this process

    def __len__(self) -> int:
        return self.length

    @property
    def where(self) -> str:
        """Its path or address."""
        return self.store.where(self.name)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Some rows: (m, width) array of the key's dtype.

        Raises
        ------
        DamagedShard
            If the bytes of a block that holds one of them are not those that were written.
        """
        taken = np.empty((len(rows), self.width), np.dtype(self.key.dtype))
        for start, stop in self._spans(np.unique(rows // self.block_rows)):
            here = np.flatnonzero((rows >= start) & (rows < stop))
            blocks = slice(start // self.block_rows, -(-stop // self.block_rows))
            if not self._sound[blocks].all():
                taken[here] = self._read(start, stop)[rows[here] - start]
                continue
            # what has been checked is read row by row where rows lie far apart
            here = here[np.argsort(rows[here], kind="stable")]
            far = np.diff(rows[here]) * self._row_bytes > _FAR
            for run in np.split(here, np.flatnonzero(far) + 1):
                first, last = int(rows[run[0]]), int(rows[run[-1]]) + 1
                taken[run] = self._read(first, last)[rows[run] - first]
        return taken

    def is_intact(self) -> bool:
        """Whether the rows are those that were written; reads them all."""
        self._sound[:] = False
        try:
            for start, stop in self._spans(np.arange(len(self.sums))):
                self._read(start, stop)
            end = self.offset + self.length * self._row_bytes
            return not self.store.read(self.name, end, 1)
        except DamagedShard:
            return False

    @property
    def _row_bytes(self) -> int:
        return self.width * np.dtype(self.key.dtype).itemsize

    def _spans(self, blocks: np.ndarray) -> Iterator[tuple[int, int]]:
        """Runs of neighboring blocks as (first row, row after the last), none of them large."""
        most = max(_MOST_READ // max(self.block_rows * self._row_bytes, 1), 1)
        for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1):
            for first in range(0, len(run), most):
                part = run[first : first + most]
                yield (
                    int(part[0]) * self.block_rows,
                    min((int(part[-1]) + 1) * self.block_rows, self.length),
                )

    def _read(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`: those of whole blocks, or of blocks that are known to be sound."""
        size = self._row_bytes
        try:
            data = self.store.read(self.name, self.offset + start * size, (stop - start) * size)
        except FileNotFoundError:
            raise DamagedShard("it is gone") from None
        if len(data) != (stop - start) * size:
            raise DamagedShard("it is cut short")
        for block in range(start // self.block_rows, -(-stop // self.block_rows)):
            if self._sound[block]:
                continue
            first = (block * self.block_rows - start) * size
            part = memoryview(data)[first : first + self.block_rows * size]
            if hashlib.sha256(part).digest()[: len(self.sums[block])] != self.sums[block]:
                raise DamagedShard("its rows are damaged")
            self._sound[block] = True
        return np.frombuffer(data, np.dtype(self.key.dtype)).reshape(-1, self.width)


def sort_key(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two little-endian halves of (n, 16) digests; they sort by the first, then by the second."""
    halves = np.ascontiguousarray(digests).view("<u8")
    return halves[:, 0], halves[:, 1]


def encode_shard(
    key: FeatureKey, digests: np.ndarray, rows: np.ndarray, device: str = ""
) -> tuple[str, list[Part]]:
    """The name that a shard's content asks for, and its bytes in parts.

    Parameters
    ----------
    digests : (n, 16) uint8
    rows : (n, D) array of the key's dtype
    device : str
        The kind of device that computed the rows.
    """
    rows = np.ascontiguousarray(rows)
    if rows.ndim != 2 or digests.shape != (len(rows), 16) or rows.dtype != np.dtype(key.dtype):
        raise ValueError(
            f"rows {rows.dtype} {rows.shape} for digests {digests.shape} and a key of {key.dtype}"
        )
    block_rows = rows_per_block(rows.shape[1] * rows.itemsize)
    order = np.lexsort(sort_key(digests)[::-1])
    sums = block_checksums(rows, block_rows)
    table = digests[order].tobytes() + order.astype("<u4").tobytes() + sums.tobytes()
    fields = {
        "block_rows": block_rows,
        "device": device,
        "key": json.loads(key.json()),
        "length": len(rows),
        "table_checksum": checksum(table).hex(),
        "width": rows.shape[1],
    }
    text = json.dumps(fields, sort_keys=True)
    size = -(-(len(text) + 64 + _DIGEST_BYTES) // _PAGE) * _PAGE
    body = f"pool5-rows 2 {size}\n{text}\n".encode().ljust(size - _DIGEST_BYTES, b"\0")
    digest = hashlib.sha256(body)
    data = rows.reshape(-1).view(np.uint8).data
    return digest.hexdigest()[:16] + SUFFIX, [body, digest.digest(), table, data]


def read_shard(store: ShardStore, name: str, size: int | None = None) -> tuple[Shard, Table]:
    """Read head and table of a shard, not its rows.

    Parameters
    ----------
    size : int, optional
        Of the file, where it is known.

    Raises
    ------
    DamagedShard
        If head, table or size are not those that were written.
    FileNotFoundError
        If it has been removed meanwhile.
    """
    size = store.stat(name).size if size is None else size
    start = store.read(name, 0, min(_AT_ONCE, size))
    first = _FIRST_LINE.match(start[:_PAGE])
    if first is None:
        raise DamagedShard("not a shard of this version")
    version, head_size = int(first[1]), int(first[2])
    if not _PAGE <= head_size <= 1 << 24:
        raise DamagedShard("the head is damaged")
    head = start[:head_size]
    head += store.read(name, len(head), head_size - len(head))
    body, digest = head[:-_DIGEST_BYTES], head[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise DamagedShard("the head is damaged")
    try:
        fields = json.loads(body[first.end() :].rstrip(b"\0").decode())
        if sorted(fields) != sorted(_NAMES[version]):
            raise ValueError("other fields")
        key = FeatureKey.from_json(json.dumps(fields["key"]))
        length, width, block_rows, table_size = _sizes(fields, version)
        expected = head_size + table_size + length * width * np.dtype(key.dtype).itemsize
        sums = fields["digests_checksum" if version == 1 else "table_checksum"]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise DamagedShard(f"the head makes no sense ({error})") from None
    if size != expected:
        raise DamagedShard(f"{size} bytes instead of {expected}")
    table = memoryview(start)[head_size : head_size + table_size]
    if len(table) < table_size:
        table = memoryview(store.read(name, head_size, table_size))
    if checksum(table).hex() != sums:
        raise DamagedShard("the digests are damaged")
    return _shard(store, name, key, fields, (length, width, block_rows, head_size + table_size), table)


def _sizes(fields: dict[str, Any], version: int) -> tuple[int, int, int, int]:
    """Length, width, rows of a block and bytes of the table; `ValueError` for what cannot be."""
    length, width = fields["length"], fields["width"]
    block_rows = fields.get("block_rows", max(length, 1))
    if not all(type(number) is int for number in (length, width, block_rows)):
        raise ValueError("no whole numbers")
    if length < 0 or width < 0 or block_rows < 1 or not isinstance(fields.get("device", ""), str):
        raise ValueError("no such numbers")
    return (
        length,
        width,
        block_rows,
        length * 16 if version == 1 else (length * 20 + -(-length // block_rows) * CHECKSUM_BYTES),
    )


def _shard(
    store: ShardStore,
    name: str,
    key: FeatureKey,
    fields: dict[str, Any],
    sizes: tuple[int, int, int, int],
    table: memoryview,
) -> tuple[Shard, Table]:
    length, width, block_rows, offset = sizes
    digests = np.frombuffer(table, np.uint8, length * 16).reshape(-1, 16)
    if "rows_sha256" in fields:  # version 1
        order = np.lexsort(sort_key(digests)[::-1])
        found = Table(digests[order], order)
        sums = [bytes.fromhex(fields["rows_sha256"])] if length else []
    else:
        rows = np.frombuffer(table, "<u4", length, length * 16).astype(np.int64)
        if length and rows.max() >= length:
            raise DamagedShard("its table names rows that it has not")
        found = Table(digests, rows)
        end = length * 20
        sums = [bytes(table[at : at + CHECKSUM_BYTES]) for at in range(end, len(table), CHECKSUM_BYTES)]
    sound = np.zeros(len(sums), bool)
    device = fields.get("device", "")
    return Shard(store, name, key, device, length, width, offset, block_rows, sums, sound), found

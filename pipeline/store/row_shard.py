"""A shard of the row cache: some rows of one layer, immutable and complete in itself.

A head (text, padded to a multiple of 4096 bytes, under its own checksum) names the feature key and the
checksums of what follows: the digests of the image files, then their rows. So a shard means the same in
whatever folder, on whatever machine, beside whatever others it is found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from .checksums import checksum
from .feature_key import FeatureKey

SUFFIX = ".rows"
_FIRST_LINE = re.compile(rb"pool5-rows 1 ([0-9]+)\n")
_PAGE = 4096
_DIGEST_BYTES = 32


class DamagedShard(Exception):  # noqa: N818
    """A shard whose bytes are not those that were written; the message says what is wrong."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard, its rows still on disk.

    Attributes
    ----------
    path : Path
    key : FeatureKey
    digests : (n, 16) uint8
        BLAKE2b-128 of each image file's bytes.
    width : int
    offset : int
        Of the first row in the file, in bytes.
    checksum : str
        Of all rows.
    """

    path: Path
    key: FeatureKey
    digests: np.ndarray
    width: int
    offset: int
    checksum: str

    def __len__(self) -> int:
        return len(self.digests)

    def map(self) -> np.memmap:
        """The (n, width) rows as a read-only memory map."""
        return np.memmap(self.path, np.dtype(self.key.dtype), "r", self.offset, (len(self), self.width))

    def is_intact(self) -> bool:
        """Whether the rows are those that were written; reads them all."""
        size = len(self) * self.width * np.dtype(self.key.dtype).itemsize
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while size and (part := file.read(min(size, 4 << 20))):
                digest.update(part)
                size -= len(part)
            return size == 0 and not file.read(1) and digest.hexdigest() == self.checksum


def write_shard(path: Path, key: FeatureKey, digests: np.ndarray, rows: np.ndarray) -> str:
    """Write a shard to `path` and sync it; gives the name that its content asks for.

    Parameters
    ----------
    digests : (n, 16) uint8
    rows : (n, D) array of the key's dtype
    """
    rows = np.ascontiguousarray(rows)
    if rows.ndim != 2 or digests.shape != (len(rows), 16) or rows.dtype != np.dtype(key.dtype):
        raise ValueError(
            f"rows {rows.dtype} {rows.shape} for digests {digests.shape} and a key of {key.dtype}"
        )
    data = rows.reshape(-1).view(np.uint8).data
    fields = {
        "digests_checksum": checksum(digests.tobytes()).hex(),
        "key": json.loads(key.json()),
        "length": len(rows),
        "rows_sha256": hashlib.sha256(data).hexdigest(),
        "width": rows.shape[1],
    }
    text = json.dumps(fields, sort_keys=True)
    size = -(-(len(text) + 64 + _DIGEST_BYTES) // _PAGE) * _PAGE
    body = f"pool5-rows 1 {size}\n{text}\n".encode().ljust(size - _DIGEST_BYTES, b"\0")
    digest = hashlib.sha256(body)
    with path.open("wb", buffering=0) as file:
        for part in (body, digest.digest(), digests.tobytes(), data):
            view = memoryview(part)
            while view:
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return digest.hexdigest()[:16] + SUFFIX


def read_shard(path: Path) -> Shard:
    """Read the head of a shard, not its rows.

    Raises
    ------
    DamagedShard
        If head, digests or size are not those that were written.
    FileNotFoundError
        If it has been removed meanwhile.
    """
    with path.open("rb") as file:
        start = file.read(_PAGE)
        first = _FIRST_LINE.match(start)
        if first is None:
            raise DamagedShard("not a shard of this version")
        size = int(first[1])
        if not _PAGE <= size <= 1 << 24:
            raise DamagedShard("the head is damaged")
        head = start + file.read(size - len(start))
        body, digest = head[:-_DIGEST_BYTES], head[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise DamagedShard("the head is damaged")
        try:
            fields = json.loads(body[first.end() :].rstrip(b"\0").decode())
            key, length, width = (
                FeatureKey.from_json(json.dumps(fields["key"])),
                fields["length"],
                fields["width"],
            )
            expected = size + length * (16 + width * np.dtype(key.dtype).itemsize)
            sums = fields["digests_checksum"], fields["rows_sha256"]
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedShard(f"the head makes no sense ({error})") from None
        if (found := os.fstat(file.fileno()).st_size) != expected:
            raise DamagedShard(f"{found} bytes instead of {expected}")
        digests = file.read(16 * length)
        if checksum(digests).hex() != sums[0]:
            raise DamagedShard("the digests are damaged")
    table = np.frombuffer(digests, np.uint8).reshape(-1, 16)
    return Shard(path, key, table, width, size + 16 * length, sums[1])

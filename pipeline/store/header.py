"""The header of a feature file: what stands before the HDF5 data and makes damage visible.

HDF5 leaves room for a 'user block' at the start of a file, which every reader of HDF5 skips. There we
write the file's size and a checksum of its head: all bytes that are not the rows of a dataset, so the
structures that HDF5 itself would follow blindly. The rows have checksums of their own, inside the file.
So every byte of the file is under a checksum, and opening a file reads only the few kilobytes of its head.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import BinaryIO

from ..errors import UserError

FORMAT = "pool5-features"
FORMAT_VERSION = 1
_FIRST_LINE = re.compile(rb"pool5-features ([0-9]+) ([0-9]+)\n")
_DIGEST_BYTES = 32
_SMALLEST, _LARGEST = 4096, 1 << 24


def header_size(num_datasets: int) -> int:
    """Bytes to keep free for the header: a power of two, as HDF5 demands."""
    size = _SMALLEST
    while size < 512 + 64 * num_datasets:
        size *= 2
    return size


def write_header(file: BinaryIO, size: int, rows: list[tuple[int, int]]) -> None:
    """Write the header of a file that is otherwise finished.

    Parameters
    ----------
    file : file open for reading and writing in binary
    size : int
        Of the header in bytes, as `header_size` gave it when the file was made.
    rows : list of (start, stop)
        Byte ranges that have checksums of their own.
    """
    total = file.seek(0, os.SEEK_END)
    head = _complement(rows, size, total)
    fields = {"head": head, "head_sha256": _digest_of(file, head), "size": total}
    text = f"{FORMAT} {FORMAT_VERSION} {size}\n{json.dumps(fields, sort_keys=True)}\n"
    body = text.encode().ljust(size - _DIGEST_BYTES, b"\0")
    if len(body) != size - _DIGEST_BYTES:
        raise ValueError(f"a header of {size} bytes is too small for {len(rows)} datasets")
    file.seek(0)
    file.write(body + hashlib.sha256(body).digest())
    file.flush()


def check_header(file: BinaryIO, path: Path) -> None:
    """Refuse what is no feature file, one of another version, a truncated or a damaged one.

    Raises
    ------
    UserError
    """
    first = _FIRST_LINE.match(file.read(64))
    if first is None:
        raise _refusal(f"{path}: not a feature file, or its first bytes are damaged")
    version, size = int(first[1]), int(first[2])
    if version != FORMAT_VERSION:
        raise _refusal(f"{path}: format version {version}, but this program reads {FORMAT_VERSION}")
    file.seek(0)
    header = file.read(min(size, _LARGEST))
    body, digest = header[:-_DIGEST_BYTES], header[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise _refusal(f"{path}: the header is damaged or cut short")
    fields = json.loads(body[first.end() :].rstrip(b"\0").decode())
    found = file.seek(0, os.SEEK_END)
    if found != fields["size"]:
        raise _refusal(f"{path}: {found} bytes, but {fields['size']} were written")
    if _digest_of(file, fields["head"]) != fields["head_sha256"]:
        raise _refusal(f"{path}: the header is damaged")


def _refusal(problem: str) -> UserError:
    return UserError(problem, rerun="extract", force=True)


def _complement(ranges: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """What of [start, stop) none of the ranges covers."""
    rest = []
    for begin, end in sorted(ranges):
        if begin > start:
            rest.append((start, begin))
        start = max(start, end)
    if stop > start:
        rest.append((start, stop))
    return rest


def _digest_of(file: BinaryIO, ranges: list[tuple[int, int]]) -> str:
    digest = hashlib.sha256()
    for start, stop in ranges:
        file.seek(start)
        digest.update(file.read(stop - start))
    return digest.hexdigest()

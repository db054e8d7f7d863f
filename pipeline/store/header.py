"""The header of a file of ours: what stands before the HDF5 data and makes damage visible.

HDF5 leaves room for a 'user block' at the start of a file, which every reader of HDF5 skips. There we
write the file's size and a checksum of its head: all bytes that are not the rows of a dataset, so the
structures that HDF5 itself would follow blindly. The rows have checksums of their own, inside the file.
So every byte of the file is under a checksum, and opening a file reads only the few kilobytes of its head.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from ..errors import UserError
from .plain_hdf5 import check_heaps

_FIRST_LINE = re.compile(rb"(pool5-[a-z]+) ([0-9]+) ([0-9]+)\n")
_DIGEST_BYTES = 32
_SMALLEST, _LARGEST = 4096, 1 << 24
Ranges = list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: its format and version, what it is called, and the stage that writes it.

    Files of the `older` versions are read as well, and never written.
    """

    format: str
    version: int
    called: str
    stage: str
    older: tuple[int, ...] = ()

    def refusal(self, problem: str) -> UserError:
        """The file has to be written again."""
        return UserError(problem, rerun=self.stage, force=True)


FEATURES = Kind("pool5-features", 2, "feature file", "extract", older=(1,))
PARTED = dataclasses.replace(FEATURES, version=3, older=(1, 2))  # with layers in parts beside it


class _Fields(msgspec.Struct, forbid_unknown_fields=True):
    head: Ranges
    head_sha256: str
    size: int


def header_size(num_datasets: int) -> int:
    """Bytes to keep free for the header: a power of two, as HDF5 demands."""
    size = _SMALLEST
    while size < 512 + 64 * num_datasets:
        size *= 2
    return size


def write_header(file: BinaryIO, size: int, rows: Ranges, kind: Kind = FEATURES) -> None:
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
    head = complement(rows, size, total)
    fields = {"head": head, "head_sha256": _digest_of(file, head), "size": total}
    text = f"{kind.format} {kind.version} {size}\n{json.dumps(fields, sort_keys=True)}\n"
    body = text.encode().ljust(size - _DIGEST_BYTES, b"\0")
    if len(body) != size - _DIGEST_BYTES:
        raise ValueError(f"a header of {size} bytes is too small for {len(rows)} datasets")
    file.seek(0)
    file.write(body + hashlib.sha256(body).digest())
    file.flush()


def check_header(file: BinaryIO, path: Path, kind: Kind = FEATURES) -> tuple[int, Ranges]:
    """Refuse what is no such file, one of another version, a truncated or a damaged one.

    Returns
    -------
    version : int
    head : list of (start, stop)
        The byte ranges that the header answers for; the others must be the rows of datasets.

    Raises
    ------
    UserError
    """
    first = _FIRST_LINE.match(file.read(64))
    if first is None or first[1] != kind.format.encode():
        raise kind.refusal(f"{path}: not a {kind.called}, or its first bytes are damaged")
    version, size = int(first[2]), int(first[3])
    if version not in (readable := (*kind.older, kind.version)):
        known = ", ".join(map(str, readable))
        raise kind.refusal(f"{path}: format version {version}, but this program reads {known}")
    file.seek(0)
    header = file.read(min(size, _LARGEST))
    body, digest = header[:-_DIGEST_BYTES], header[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise kind.refusal(f"{path}: the header is damaged or cut short")
    fields = msgspec.json.decode(body[first.end() :].rstrip(b"\0"), type=_Fields)
    found = file.seek(0, os.SEEK_END)
    if found != fields.size:
        raise kind.refusal(f"{path}: {found} bytes, but {fields.size} were written")
    if complement(complement(fields.head, size, found), size, found) != fields.head:
        raise kind.refusal(f"{path}: the header names bytes that are not there")
    if _digest_of(file, fields.head) != fields.head_sha256:
        raise kind.refusal(f"{path}: the header is damaged")
    for part in _parts(file, fields.head):
        check_heaps(part)
    return version, fields.head


def check_places(head: Ranges, maps: Iterable[np.ndarray], start: int) -> None:
    """`ValueError` unless what the header answers for and the rows make up the file from `start` on."""
    rows = [(each.offset, each.offset + each.nbytes) for each in maps if isinstance(each, np.memmap)]
    stop = max(end for _, end in head + rows)
    covered = sum(end - begin for begin, end in head + rows)
    if complement(rows, start, stop) != head or covered != stop - start:
        raise ValueError("the header does not answer for all that is no dataset's rows")


def complement(ranges: Ranges, start: int, stop: int) -> Ranges:
    """What of [start, stop) none of the ranges covers, in order."""
    rest = []
    for begin, end in sorted(ranges):
        if begin > start:
            rest.append((start, begin))
        start = max(start, end)
    if stop > start:
        rest.append((start, stop))
    return rest


def _digest_of(file: BinaryIO, ranges: Ranges) -> str:
    digest = hashlib.sha256()
    for part in _parts(file, ranges):
        digest.update(part)
    return digest.hexdigest()


def _parts(file: BinaryIO, ranges: Ranges) -> Iterator[bytes]:
    for start, stop in ranges:
        file.seek(start)
        yield file.read(stop - start)

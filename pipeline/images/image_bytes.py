"""The bytes of an image, wherever they are, and the memory that they and their picture may take."""

from __future__ import annotations

import hashlib
import math
import os
import stat
from pathlib import Path

from ..files.remote import is_remote, read_remote
from .address import Address
from .budget import ANY_MEMORY, Budget, UnreadableImage
from .parquet_rows import read_row

_GB = 10**9
_TIFF = (b"II*\0", b"MM\0*")


def read_bytes(where: Address | Path, budget: Budget = ANY_MEMORY) -> bytes:
    """The bytes of an image; `UnreadableImage` where there are none, `Unreachable` where none would be."""
    address = where if isinstance(where, Address) else Address(str(where))
    try:
        if address.member and address.span is None:
            return read_row(address, budget)
        if is_remote(address.file):
            return _read_remote(address, budget)
        return _read_local(address, budget)
    except OSError as error:
        raise UnreadableImage(str(address), f"cannot be read ({error.strerror or error})") from None


def digest_of(data: bytes, address: Address) -> bytes:
    """BLAKE2b-128 of an image's bytes, and of the part of it that counts where that is not the whole.

    Samples that are scaled by a range were not always; their digest is another one than that of the bytes,
    so that no row is taken for theirs that was made of what they looked like then.
    """
    digest = hashlib.blake2b(data, digest_size=16).digest()
    if data.startswith(_TIFF):
        from .deep_tiff import deep_tiff

        if (tiff := deep_tiff(data)) and tiff.bits == 16 and tiff.states_its_range:
            digest = hashlib.blake2b(digest + f"{tiff.low}-{tiff.high}".encode(), digest_size=16).digest()
    return part_digest(digest, address.crop)


def part_digest(digest: bytes, crop: tuple[int, ...] | None) -> bytes:
    """`digest_of` the part (x, y, width, height) of an image whose bytes have this digest; None: of all."""
    if crop is None:
        return digest
    return hashlib.blake2b(digest + ",".join(map(str, crop)).encode(), digest_size=16).digest()


def _read_remote(address: Address, budget: Budget) -> bytes:
    if address.span:
        budget.take(address.span[1] / _GB, str(address))
    data = read_remote(address.file, address.span, None if math.isinf(budget.gb) else int(budget.gb * _GB))
    budget.take(len(data) / _GB, str(address))
    return data


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # of a named pipe the writer is not waited for


def _read_local(address: Address, budget: Budget) -> bytes:
    with open(address.file, "rb", opener=_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage(str(address), "no regular file")
        offset, length = address.span or (0, status.st_size)
        budget.take(length / _GB, str(address))
        file.seek(offset)
        data = file.read(length)
    if len(data) < length:
        raise UnreadableImage(str(address), "cannot be read (the file ends before)")
    return data

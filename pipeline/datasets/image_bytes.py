"""The bytes of an image, wherever they are, and the memory that they and their picture may take."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import os
import stat
from pathlib import Path

from ..errors import UserError
from ..files.remote import is_remote, read_remote
from .address import Address

_GB = 10**9
_TIFF = (b"II*\0", b"MM\0*")


class UnreadableImage(UserError):  # noqa: N818
    """A file that gives no image; `reason` says why, without the file's name."""

    remedy = "replace or remove it, or set extract.on_bad_image: skip"

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}; {self.remedy}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(
        self,
    ) -> tuple[
        type[UnreadableImage], tuple[str, str]
    ]:  # it travels from the process that decodes to the one that tells
        return type(self), (self.path, self.reason)


class TooLarge(UnreadableImage):
    """An image that takes more memory than it may; never skipped, as memory decides no value."""

    remedy = "raise extract.memory_gb, make it smaller or remove it"


@dataclasses.dataclass(frozen=True)
class Budget:
    """The memory that decoding may take.

    Attributes
    ----------
    gb : float
        For one image; what takes more is refused.
    share : float
        GB that this process may take at any time; for more it waits for its turn.
    turn : context manager, optional
        That one process at a time can hold.
    """

    gb: float = math.inf
    share: float = math.inf
    turn: contextlib.AbstractContextManager[object] | None = None

    def take(self, gb: float, path: Path | str) -> contextlib.AbstractContextManager[object]:
        """What to hold while `gb` are taken; `TooLarge` if they may not be."""
        if gb > self.gb:
            raise TooLarge(
                path, f"takes {gb:.1f} GB to decode, more than the {self.gb:g} of extract.memory_gb"
            )
        return self.turn if self.turn and gb > self.share else contextlib.nullcontext()


ANY_MEMORY = Budget()  # an image of a data set has passed the check, whose limit was the user's


def read_bytes(where: Address | Path, budget: Budget = ANY_MEMORY) -> bytes:
    """The bytes of an image; `UnreadableImage` where there are none, `Unreachable` where none would be."""
    address = where if isinstance(where, Address) else Address(str(where))
    try:
        if address.member and address.span is None:
            from .parquet_rows import read_row

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


def _read_local(address: Address, budget: Budget) -> bytes:
    # a named pipe is opened without waiting for its writer, and then refused
    with open(os.open(address.file, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
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

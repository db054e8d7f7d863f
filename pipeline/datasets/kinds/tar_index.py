"""What is in a tar and at which bytes, from its headers alone (POSIX.1-2017, pax; GNU tar's manual).

By hand, as tarfile takes 40 microseconds a member, this 7, and a million samples have two million members.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ...errors import UserError

_BLOCK = 512
_EMPTY = bytes(_BLOCK)
_FILE = b"0", b"\0", b"7"  # the last: contiguous, which is a file like any other
_HARD_LINK, _LINK, _FOLDER = b"1", b"2", b"5"
_WITHOUT_DATA = _HARD_LINK, _LINK, b"3", b"4", _FOLDER, b"6", b"V"
_PAX, _LONG_NAME, _LONG_TARGET = b"x", b"L", b"K"
_ABOUT_NEXT = _PAX, _LONG_NAME, _LONG_TARGET, b"g"
_ADLER = 65521
_LONGEST = 1 << 20  # of what may be said about a member
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Member(NamedTuple):
    """A member of a tar; names are as they stand there, what is not UTF-8 as half pairs."""

    name: str
    offset: int  # of its first byte
    length: int
    is_file: bool
    target: str = ""  # of a link, which is no file
    is_hard: bool = False


def members(file: BinaryIO, where: str) -> Iterator[Member]:
    """The members of a tar, in order, but for its folders.

    Parameters
    ----------
    file : to read from and to seek in
    where : str
        Its path or address, for messages.

    Raises
    ------
    UserError
        If it is no tar, is compressed, or ends too early; if a file in it is stored with its holes left out.
    """
    size, at = file.seek(0, io.SEEK_END), 0
    said: dict[str, str] = {}  # about the next member
    while at < size:
        file.seek(at)
        header = file.read(_BLOCK)
        if header == _EMPTY:
            _refuse_more(file, where)
            return
        if not _is_header(header):
            raise UserError(f"{where}: {_what_else(header, at)}")
        kind, start = header[156:157], at + _BLOCK
        name = said.get("path") or _name(header)
        length = 0 if kind in _WITHOUT_DATA else _number(said.get("size") or header[124:136])
        if length < 0 or start + length > size:
            raise UserError(f"{where}: cut short within {name!r}; copy it anew")
        at = start + -(-length // _BLOCK) * _BLOCK
        if kind in _ABOUT_NEXT:
            if length > _LONGEST:
                raise UserError(f"{where}: {length} bytes about the member at byte {at}: damaged")
            said |= _said(kind, file.read(length))
            continue
        if kind == b"S" or (said and any(word.startswith("GNU.sparse") for word in said)):
            raise UserError(f"{where}: {name!r} is stored without its holes; pack it without --sparse")
        is_folder = kind == _FOLDER or name.endswith("/")
        if kind in (_HARD_LINK, _LINK):
            target = said.get("linkpath") or _text(header[157:257])
            yield Member(name, start, length, False, target, kind == _HARD_LINK)
        elif not is_folder:
            yield Member(name, start, length, kind in _FILE)
        said = {}


def _is_header(header: bytes) -> bool:
    """Whether the sum of a header's bytes is what it says; some old programs took them as signed."""
    if len(header) < _BLOCK:
        return False
    try:
        stored = int(header[148:156].split(b"\0", 1)[0], 8)
    except ValueError:
        return False
    # from 0 on, the lower half of Adler's checksum is the sum modulo 65521, in a twentieth of the time
    found = zlib.adler32(header[:148] + b"        " + header[156:], 0) & 0xFFFF
    return (
        found == stored % _ADLER or (found - 256 * sum(byte > 127 for byte in header) - stored) % _ADLER == 0
    )


def _what_else(header: bytes, at: int) -> str:
    if at:
        return f"damaged: no header of a member at byte {at}; copy or pack it anew"
    for first, name in _COMPRESSED.items():
        if header.startswith(first):
            return f"compressed ({name}), so no member can be read alone; pack it without compression"
    return "no tar"


def _refuse_more(file: BinaryIO, where: str) -> None:
    """What follows a tar's end nobody reads: most likely a second one whose images would be missing."""
    while part := file.read(1 << 20):
        if part.strip(b"\0"):
            raise UserError(
                f"{where}: something follows its end, at byte {file.tell() - len(part.lstrip(bytes(1)))}; "
                "two archives in one file? Keep them in two"
            )


def _name(header: bytes) -> str:
    name = _text(header[:100])
    # GNU's own form (`ustar  `) has other things where ustar has the name's beginning
    if header[345] and header[257:263] == b"ustar\0":
        return f"{_text(header[345:500])}/{name}"
    return name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes | str) -> int:
    """An octal number, or (GNU) a binary one, or (pax) a decimal one; -1 where it is none."""
    try:
        if isinstance(field, str):
            return int(field)
        if field[0] in (0x80, 0xFF):
            return int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
        return int(field.split(b"\0", 1)[0].strip() or b"0", 8)
    except ValueError:
        return -1


def _said(kind: bytes, data: bytes) -> dict[str, str]:
    """What a member before another says about it: its path, size and link."""
    if kind == _LONG_NAME:
        return {"path": _text(data)}
    if kind == _LONG_TARGET:
        return {"linkpath": _text(data)}
    said: dict[str, str] = {}
    while kind == _PAX and data.strip(b"\0"):
        count, _, rest = data.partition(b" ")  # `27 path=cat/1.jpg\n`, the count of all of it
        if not count.isdigit() or not len(count) + 1 < int(count) <= len(data):
            break
        word, _, value = rest[: int(count) - len(count) - 2].partition(b"=")
        said[_text(word)] = value.decode("utf-8", "surrogateescape")
        data = data[int(count) :]
    return said

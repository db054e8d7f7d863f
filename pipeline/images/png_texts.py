"""Texts in a PNG that unpack to more than Pillow takes: settings of a generator, or a bomb."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = frozenset([b"zTXt", b"iTXt", b"tEXt", b"iCCP"])
_LONG = 1_000_000  # what says how an image is turned, EXIF or XMP, is far shorter


def without_long_texts(data: bytes) -> bytes:
    """The PNG without texts and profiles of more than a megabyte; none is unpacked further than that."""
    return _SIGNATURE + b"".join(
        data[start:end]
        for kind, start, end in _chunks(data)
        if kind not in _TEXTS or not _is_long(kind, data[start + 8 : end - 4])
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk, where it begins and where it ends: length, kind, content, CRC."""
    at = len(_SIGNATURE)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], at, end
        at = end


def _is_long(kind: bytes, content: bytes) -> bool:
    """PNG (third edition), 11.3: a keyword, a zero, how it is packed, and the rest."""
    _, _, rest = content.partition(b"\0")
    if kind == b"iTXt" and rest[:1] == b"\1":
        rest = b"\0" + rest[2:].split(b"\0", 2)[-1]  # past the language and the translated keyword
    elif kind in (b"tEXt", b"iTXt"):
        return len(content) > _LONG
    packed = zlib.decompressobj()
    try:
        packed.decompress(rest[1:], _LONG)
    except zlib.error:
        return len(content) > _LONG
    return bool(packed.unconsumed_tail)

"""TIFF samples of 9 to 16 bits that Pillow does not scale: packed ones, and those that state their range.

TIFF 6.0: BitsPerSample, SMinSampleValue and SMaxSampleValue say which values samples may have. MinSampleValue
and MaxSampleValue are statistics, which must not change how a picture looks.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin

_MAGIC = (b"II*\0", b"MM\0*")
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES = 256, 257, 258, 259, 262, 277, 284
_TILE_WIDTH, _EXTRA, _FORMAT, _SMIN, _SMAX = 322, 338, 339, 340, 341
_PREDICTOR, _ORIENTATION, _PROFILE = 317, 274, 34675
# height, compression, fill order, and where strips and tiles lie
_AS_IT_IS = (257, 259, 266, 273, 278, 279, 323, 324, 325)
_PACKINGS = frozenset([1, 5, 8, 32773, 32946])  # none, LZW, Deflate, PackBits
_UNSIGNED, _WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 1, 0, 1, 2


class Unsupported(ValueError):  # noqa: N818
    """Sound, but it cannot be shown in the file's own colours."""


class DeepTiff(NamedTuple):
    """What decides how the samples of a TIFF are read.

    Attributes
    ----------
    bits : int
        Of a sample, 9 to 16.
    low, high : int
        The values of black and white, or of white and black.
    tags : of the first picture
    """

    bits: int
    low: int
    high: int
    tags: TiffImagePlugin.ImageFileDirectory_v2

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""
        return int(self.tags[_WIDTH]), int(self.tags[_HEIGHT])

    @property
    def samples(self) -> int:
        """Of a pixel."""
        return int(self.tags.get(_SAMPLES, 1))

    @property
    def profile(self) -> bytes | None:
        """The colour profile."""
        found: bytes | None = self.tags.get(_PROFILE)
        return found

    @property
    def states_its_range(self) -> bool:
        """Whether the file says of its samples that they end before their bits do."""
        return (self.low, self.high) != (0, (1 << self.bits) - 1)


def deep_tiff(data: bytes) -> DeepTiff | None:
    """What to read a TIFF by; None where Pillow reads it as it should, or the file is none."""
    if data[:4] not in _MAGIC:
        return None
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits = set(tags.get(_BITS, (1,)))
        if len(bits) != 1 or not 8 < min(bits) <= 16:
            return None
        full = (1 << min(bits)) - 1
        low, high = int(min(tags.get(_SMIN, (0,)))), int(max(tags.get(_SMAX, (full,))))
        if not 0 <= low < high <= full:  # it says nothing that its bits allow
            low, high = 0, full
        found = DeepTiff(min(bits), low, high, tags)
        plain = found.bits == 16 and not found.states_its_range and tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO
        return None if plain else found
    except Exception:  # damaged: Pillow, which reads it next, raises what is told
        return None


def decode_deep_tiff(data: bytes, tiff: DeepTiff) -> Image.Image:
    """The picture, scaled so that the stated range becomes 0 to 255: of a full range the high 8 bits.

    libtiff unpacks rows of bytes, as if they were grey; what the bits mean is seen to here.

    Raises
    ------
    Unsupported
        If the samples have a sign, lie in planes, are more than colours or stand in a JPEG.
    """
    tags, (width, height), count = tiff.tags, tiff.size, tiff.samples
    _refuse(tiff)
    rows = np.asarray(_as_bytes(data, tiff))
    samples = _unpack(rows, tiff.bits, width * count, tags.prefix).reshape(height, width, count)
    if tags.get(_PREDICTOR, 1) == 2:  # differences to the sample on the left
        samples = np.cumsum(samples, axis=1, dtype=np.uint16)
    inside = np.clip(samples, tiff.low, tiff.high).astype(np.uint32) - tiff.low
    scaled = (inside * 256 // (tiff.high - tiff.low + 1)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    image = Image.fromarray(scaled[:, :, 0] if count == 1 else scaled)
    image.getexif()[_ORIENTATION] = tags.get(_ORIENTATION, 1)
    return image


def _refuse(tiff: DeepTiff) -> None:
    tags, depth = tiff.tags, f"{tiff.bits} bits a sample"
    photometric, predictor = tags.get(_PHOTOMETRIC, -1), tags.get(_PREDICTOR, 1)
    if set(tags.get(_FORMAT, (1,))) != {_UNSIGNED}:
        raise Unsupported("samples with a sign or a point")
    if tags.get(_PLANES, 1) != 1 and tiff.samples > 1:
        raise Unsupported(f"{depth} in planes")
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(photometric)
    if colours != tiff.samples or tags.get(_EXTRA):
        raise Unsupported(f"{depth} that are not grey or RGB alone")
    known = predictor == 1 or (predictor == 2 and tiff.bits == 16)
    if not known or tags.get(_COMPRESSION, 1) not in _PACKINGS:
        raise Unsupported(f"{depth}, packed as few programs do")


def _as_bytes(data: bytes, tiff: DeepTiff) -> Image.Image:
    """The bytes of the rows as a grey picture: the same file with another directory at its end."""
    tags, order = tiff.tags, "<" if data[:2] == b"II" else ">"
    grey = {tag: tags[tag] for tag in _AS_IT_IS if tag in tags}
    grey[_WIDTH] = -(-tiff.size[0] * tiff.samples * tiff.bits // 8)
    if _TILE_WIDTH in tags:
        grey[_TILE_WIDTH] = tags[_TILE_WIDTH] * tiff.samples * tiff.bits // 8
    grey |= {_BITS: 8, _PHOTOMETRIC: _BLACK_IS_ZERO, _SAMPLES: 1}
    at = len(data) + len(data) % 2
    head = data[:4] + struct.pack(order + "I", at)
    whole = head + data[8:].ljust(at - 8, b"\0") + _directory(grey, at, order)
    image = Image.open(io.BytesIO(whole), formats=("TIFF",))
    image.load()
    return image


def _directory(tags: dict[int, int | tuple[int, ...]], at: int, order: str) -> bytes:
    """A directory of whole numbers that stands at `at` in its file."""
    entries, lists = b"", b""
    behind = at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, lists = struct.pack(order + "I", behind + len(lists)), lists + packed
        entries += struct.pack(order + "HHI", tag, 4, len(values)) + packed
    return struct.pack(order + "H", len(tags)) + entries + bytes(4) + lists


def _unpack(rows: np.ndarray, bits: int, count: int, order: bytes) -> np.ndarray:
    """The first `count` samples of each row: (H, bytes) uint8 to (H, count) uint16.

    Samples of 16 bits have the file's byte order; others follow each other bit by bit, the highest first.
    """
    if bits == 16:
        return np.ascontiguousarray(rows).view("<u2" if order == b"II" else ">u2").astype(np.uint16)
    start = np.arange(count) * bits
    padded = np.pad(rows, ((0, 0), (0, 2))).astype(np.uint32)  # a sample lies within three bytes
    window = padded[:, start // 8] << 16
    window |= padded[:, start // 8 + 1] << 8
    window |= padded[:, start // 8 + 2]
    return (window >> (24 - bits - start % 8).astype(np.uint32) & ((1 << bits) - 1)).astype(np.uint16)

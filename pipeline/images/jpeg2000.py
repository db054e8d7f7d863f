"""What a JPEG 2000 lacks: OpenJPEG leaves missing tiles black, and Pillow takes its size on trust."""

from __future__ import annotations

import struct

_CODESTREAM, _TILE_PART, _END = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\xd9"  # SOC and SIZ, SOT, EOC


def check_jpeg2000(data: bytes, size: tuple[int, int]) -> None:
    """Refuse a codestream that lacks tiles, or has another size than the file's head says.

    ISO/IEC 15444-1, A.4.2 and A.5.1. `size` is (width, height).

    Raises
    ------
    ValueError
    """
    start = data.find(_CODESTREAM)
    x1, y1, x0, y0, tile_width, tile_height, left, top = struct.unpack_from(">8I", data, start + 8)
    if (x1 - x0, y1 - y0) != size:
        raise ValueError("the picture has another size than its head says")
    across, down = -(-(x1 - left) // tile_width), -(-(y1 - top) // tile_height)
    at, parts = data.find(_TILE_PART, start), dict[int, int]()
    while 0 <= at < len(data) - 12 and data[at : at + 2] == _TILE_PART:
        tile, length, part, of = struct.unpack_from(">HIBB", data, at + 4)
        parts[tile] = part + 1 - of if of else 0  # 0 where it was the last
        at = at + length if length else data.rfind(_END)
    if data[at : at + 2] != _END or len(parts) < across * down or any(parts.values()):
        raise ValueError("the picture ends early")

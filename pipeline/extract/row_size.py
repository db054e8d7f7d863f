"""What the rows of a layer take, in words."""

from __future__ import annotations

import numpy as np

_LARGE = 64 << 10  # bytes an image; a vector of 16,384 float32
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def row_bytes(width: int, dtype: str) -> int:
    """Of a row of `width` values."""
    return width * np.dtype(dtype).itemsize


def size_in_words(size: float) -> str:
    """`802.8 kB`."""
    return next((f"{size / unit:.1f} {name}" for unit, name in _UNITS if size >= unit), f"{size:.0f} B")


def told_if_large(layer: str, width: int, dtype: str) -> str | None:
    """A line on a layer that takes more than 64 KiB an image, else None."""
    size = row_bytes(width, dtype)
    if size <= _LARGE:
        return None
    return (
        f"{layer}: {width} values of {dtype} take {size_in_words(size)} an image, "
        f"{size_in_words(10_000 * size)} for 10,000 images; pool makes it a vector"
    )

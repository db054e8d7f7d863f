"""JPEG files decoded by libjpeg-turbo itself, large ones at a half, a quarter or an eighth of their size."""

from __future__ import annotations

from pathlib import Path

import simplejpeg
from PIL import Image

from ..params import Preprocess
from .budget import Budget
from .decoders import with_pillow
from .image_file import gb_to_decode
from .plain_jpeg import plain_jpeg
from .transform import Picture, resized_size

_SCALES = (1, 2, 4)  # eighths; others take longer to decode than they save, as they have no SIMD code
_SMALL = 64  # pixels a side, below which no size tells its scale


def with_turbojpeg(data: bytes, path: Path | str, budget: Budget, preprocess: Preprocess) -> Picture:
    """A plain JPEG by libjpeg-turbo, at the smallest scale that is not below what it is resized to.

    Of all else, and of a file that libjpeg warns of, Pillow decides what it is.
    """
    image = plain_jpeg(data)
    if image is not None:
        eighths = _scale(image.size, preprocess)
        width, height = (-(-side * eighths // 8) for side in image.size)
        with budget.take(gb_to_decode(image, data), path):
            try:
                pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
            except (ValueError, MemoryError):
                pixels = None
        if pixels is not None and pixels.shape == (height, width, 3):
            return Picture(Image.fromarray(pixels), image.size, eighths / 8)
    return with_pillow(data, path, budget, preprocess)


def _scale(size: tuple[int, int], preprocess: Preprocess) -> int:
    width, height = resized_size(size, preprocess)
    large = (n for n in _SCALES if size[0] * n >= 8 * width and size[1] * n >= 8 * height)
    return next(large, 8) if min(size) >= _SMALL else 8

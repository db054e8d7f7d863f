"""Small pictures of many images, packed into WebP sprite sheets that fit into a budget."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..images.address import Address
from ..images.image_bytes import read_bytes
from ..images.image_file import cropped, decode
from ..images.read_ahead import threads_for
from ..progress import progress

PER_ROW = 8
PER_SHEET = PER_ROW * PER_ROW
# (side in pixels, WebP quality), best first. Sides are multiples of WebP's macroblock of 16 pixels, so that
# no block holds parts of two images.
_LADDER = (
    (128, 74),
    (128, 60),
    (112, 55),
    (96, 55),
    (96, 42),
    (80, 42),
    (64, 42),
    (64, 25),
    (48, 25),
    (32, 20),
)


@dataclasses.dataclass(frozen=True)
class Sprites:
    """Thumbnails on sheets of `PER_ROW` by `PER_ROW` square cells, in the order of the images.

    Attributes
    ----------
    cell : int
        Side of a cell in pixels.
    sizes : (N, 2) int
        Width and height of each thumbnail, which stands in the upper left corner of its cell.
    sheets : tuple of bytes
        WebP files.
    """

    cell: int
    sizes: np.ndarray
    sheets: tuple[bytes, ...]


def shrink_images(addresses: Sequence[Address]) -> list[Image.Image]:
    """Image files, upright, shrunk to the largest thumbnail that there is.

    Raises
    ------
    UnreadableImage
        If a file is missing or damaged.
    """
    with concurrent.futures.ThreadPoolExecutor(threads_for(addresses)) as pool:
        return list(progress(pool.map(_shrunk, addresses), total=len(addresses), desc="thumbnails"))


def make_sprites(images: Sequence[Image.Image], budget: int) -> Sprites:
    """Thumbnails of what `shrink_images` gave, as large and as good as fits into `budget` bytes.

    The same images and the same budget give the same bytes.
    """
    starts = range(0, len(images), PER_SHEET)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:

        def encoded(starts: Sequence[int], side: int, quality: int) -> list[bytes]:
            cells = [images[start : start + PER_SHEET] for start in starts]
            return list(pool.map(lambda own: _encoded(own, side, quality), cells))

        for side, quality in _LADDER:
            # every eighth sheet tells whether it is worth the while to encode them all
            some = starts[::8]
            if sum(map(len, encoded(some, side, quality))) * len(starts) > budget * len(some):
                continue
            sheets = encoded(starts, side, quality)
            if sum(map(len, sheets)) <= budget:
                break
        else:
            sheets = encoded(starts, side, quality)
    return Sprites(side, np.array([_fitted(image, side) for image in images]).reshape(-1, 2), tuple(sheets))


def _shrunk(address: Address) -> Image.Image:
    image = cropped(decode(read_bytes(address), str(address)), address)
    image.thumbnail((_LADDER[0][0],) * 2, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _fitted(image: Image.Image, side: int) -> tuple[int, int]:
    scale = min(side / max(image.size), 1.0)
    return max(round(image.width * scale), 1), max(round(image.height * scale), 1)


def _encoded(images: Sequence[Image.Image], side: int, quality: int) -> bytes:
    rows = -(-len(images) // PER_ROW)
    sheet = Image.new("RGB", (PER_ROW * side, rows * side), (128, 128, 128))
    for number, image in enumerate(images):
        thumbnail = image.resize(_fitted(image, side), Image.Resampling.LANCZOS)
        sheet.paste(thumbnail, (number % PER_ROW * side, number // PER_ROW * side))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=quality, method=4)
    return file.getvalue()

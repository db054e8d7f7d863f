"""Small pictures of many images, packed into WebP sprite sheets that fit into a budget."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets.image_file import read_image
from pipeline.progress import progress

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


def make_sprites(paths: Sequence[Path], budget: int) -> Sprites:
    """Thumbnails of image files, as large and as good as fits into `budget` bytes.

    The same files and the same budget give the same bytes.

    Raises
    ------
    UnreadableImage
        If a file is missing or damaged.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        small = list(progress(pool.map(_shrunk, paths), total=len(paths), desc="thumbnails"))
        for side, quality in _LADDER:
            sheets, size = [], 0
            for sheet in pool.map(lambda cells: _encoded(*cells), _sheets(small, side, quality)):
                sheets.append(sheet)
                size += len(sheet)
            if size <= budget:
                break
    return Sprites(side, np.array([_fitted(image, side) for image in small]).reshape(-1, 2), tuple(sheets))


def _shrunk(path: Path) -> Image.Image:
    image = Image.fromarray(read_image(path))
    image.thumbnail((_LADDER[0][0],) * 2, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _fitted(image: Image.Image, side: int) -> tuple[int, int]:
    scale = min(side / max(image.size), 1.0)
    return max(round(image.width * scale), 1), max(round(image.height * scale), 1)


def _sheets(
    images: Sequence[Image.Image], side: int, quality: int
) -> Iterator[tuple[Sequence[Image.Image], int, int]]:
    for start in range(0, len(images), PER_SHEET):
        yield images[start : start + PER_SHEET], side, quality


def _encoded(images: Sequence[Image.Image], side: int, quality: int) -> bytes:
    rows = -(-len(images) // PER_ROW)
    sheet = Image.new("RGB", (PER_ROW * side, rows * side), (128, 128, 128))
    for number, image in enumerate(images):
        thumbnail = image.resize(_fitted(image, side), Image.Resampling.LANCZOS)
        sheet.paste(thumbnail, (number % PER_ROW * side, number // PER_ROW * side))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=quality, method=4)
    return file.getvalue()

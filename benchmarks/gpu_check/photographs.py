"""Pictures like photographs, drawn with a seed: what JPEG files of some size take to decode."""

from __future__ import annotations

import io
import multiprocessing
from pathlib import Path

import numpy as np
from PIL import Image

from pool5.machine import cores

SIDE = 500  # of the longer side, as VOC's and many others' are
_OCTAVES = (3, 6, 12, 25, 50, 125, 250)
_QUALITY = 90
_NOISE = 13  # with it a file has the 80 kB of a photograph of this size
_COMMENT = b"\xff\xfe\x00\x0a"  # a JPEG comment of eight bytes


def picture(number: int, width: int = SIDE, height: int = SIDE * 3 // 4) -> np.ndarray:
    """(height, width, 3) uint8: clouds, the finer the weaker, edges, and some noise."""
    random = np.random.default_rng(number)
    values = np.zeros((height, width, 3), np.float32)
    for octave in _OCTAVES:
        grid = random.standard_normal((max(octave * height // width, 2), octave, 3)).astype(np.float32)
        layers = [Image.fromarray(grid[..., c]).resize((width, height), Image.BILINEAR) for c in range(3)]
        values += np.stack([np.asarray(layer) for layer in layers], axis=-1) * (60 / octave**0.5)
    for _ in range(6):
        x, y = random.integers(width), random.integers(height)
        values[y : y + height // 3, x : x + width // 4] += random.uniform(-70, 70, 3).astype(np.float32)
    values += random.normal(0, _NOISE, values.shape).astype(np.float32)
    return np.clip(values + 120, 0, 255).astype(np.uint8)


def write_photographs(folder: Path, pictures: int, copies: int = 1) -> list[Path]:
    """Write `pictures` times `copies` JPEG files, with all cores; gives them in order.

    The copies of a picture are decoded alike and have other bytes, so that each is an image of its own to a
    cache: the number is in a comment.
    """
    folder.mkdir(parents=True)
    work = [(folder, number, pictures, copies) for number in range(pictures)]
    if cores() == 1 or pictures < 64:
        written = list(map(_write, work))
    else:
        # not forked: the process may have threads, and CUDA, already
        with multiprocessing.get_context("spawn").Pool(cores()) as pool:
            written = pool.map(_write, work, chunksize=16)
    return sorted(path for paths in written for path in paths)


def _write(work: tuple[Path, int, int, int]) -> list[Path]:
    folder, number, pictures, copies = work
    data = io.BytesIO()
    Image.fromarray(picture(number)).save(data, "JPEG", quality=_QUALITY)
    whole, paths = data.getvalue(), []
    for copy in range(copies):
        name = number + copy * pictures
        paths.append(folder / f"{name:06d}.jpg")
        paths[-1].write_bytes(whole[:2] + _COMMENT + f"{name:08d}".encode() + whole[2:])
    return paths

"""Is every file an image? Found out before anything is computed from one."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image

from ..progress import progress
from .image_file import UnreadableImage, decode, read_bytes

_WORTH_A_POOL = 200  # below this, starting processes costs more than they bring


@dataclasses.dataclass(frozen=True)
class ImageFact:
    """What a manifest says about a file: BLAKE2b-128 of its bytes, width and height as stored."""

    digest: bytes
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class BadImage:
    """A file that gives no image, and why."""

    path: str
    reason: str


def check_images(root: Path | str, paths: Sequence[str]) -> dict[str, ImageFact | BadImage]:
    """Read and wholly decode each file; a JPEG cut in half is known only by that.

    Parameters
    ----------
    paths : relative to `root`

    Returns
    -------
    By path, in the order given; a path that is given twice is read once.
    """
    paths = list(dict.fromkeys(paths))
    tasks = [(Path(root), path) for path in paths]
    with progress(total=len(tasks), desc="checking images", unit="image") as bar:
        facts: dict[str, ImageFact | BadImage] = {}
        for path, fact in zip(paths, _map(tasks), strict=True):
            facts[path] = fact
            bar.update()
    return facts


def _map(tasks: list[tuple[Path, str]]) -> Iterator[ImageFact | BadImage]:
    cores = min(16, len(os.sched_getaffinity(0)))
    if len(tasks) < _WORTH_A_POOL or cores == 1:
        yield from map(_check, tasks)
        return
    # spawn: a fork of a process whose libraries have threads may hang
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_check, tasks, chunksize=32)


def _check(task: tuple[Path, str]) -> ImageFact | BadImage:
    root, path = task
    try:
        data = read_bytes(root / path)
        decode(data, path)
        with Image.open(io.BytesIO(data)) as stored:
            size = stored.size
    except UnreadableImage as error:
        return BadImage(path, error.reason)
    return ImageFact(hashlib.blake2b(data, digest_size=16).digest(), size)

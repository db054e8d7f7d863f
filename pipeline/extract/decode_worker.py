"""A process that decodes: paths in, pixels into memory that it shares with its parent.

Started by `reader.py` as `python -m pipeline.extract.decode_worker`, so it imports neither torch nor
the parent's main script. It ends when its parent does, however that happens.
"""

from __future__ import annotations

import dataclasses
import hashlib
import mmap
import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from pipeline.datasets.image_file import UnreadableImage, crop_centre, decode, read_bytes
from pipeline.params import Preprocess


@dataclasses.dataclass(frozen=True)
class ImageTask:
    """An image to decode: its number in the work at hand, its file, and the digest its bytes must have."""

    number: int
    path: str
    digest: bytes


@dataclasses.dataclass(frozen=True)
class Failure:
    """An image that gave no pixels; `changed` if its bytes are not those of the manifest."""

    number: int
    path: str
    reason: str
    changed: bool = False


def decode_into(pixels: np.ndarray, tasks: Sequence[ImageTask], preprocess: Preprocess) -> list[Failure]:
    """Decode images into `pixels`, (at least len(tasks), crop, crop, 3) uint8.

    A failed one leaves its place as it was.
    """
    failures = []
    for place, task in enumerate(tasks):
        try:
            data = read_bytes(task.path)
            if hashlib.blake2b(data, digest_size=16).digest() != task.digest:
                failures.append(
                    Failure(task.number, task.path, "changed since the manifest was written", True)
                )
                continue
            pixels[place] = crop_centre(decode(data, task.path), preprocess)
        except UnreadableImage as error:
            failures.append(Failure(task.number, task.path, error.reason))
    return failures


def _main(ring: int, slots: int, pipe: int, niceness: int) -> None:
    os.nice(niceness)
    connection = Connection(pipe)
    batch_size, preprocess = connection.recv()
    shape = (slots, batch_size, preprocess.crop, preprocess.crop, 3)
    pixels = np.frombuffer(mmap.mmap(ring, 0), np.uint8)[: int(np.prod(shape))].reshape(shape)
    while True:
        try:
            slot, tasks = connection.recv()
            connection.send((slot, decode_into(pixels[slot], tasks, preprocess)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    try:
        _main(*map(int, sys.argv[1:]))
    except KeyboardInterrupt:  # Ctrl-C reaches the whole group; the parent tells it
        sys.exit(130)

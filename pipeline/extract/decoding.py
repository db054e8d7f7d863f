"""Decoding a batch of images; imports no torch, so that a process that only decodes starts quickly."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from ..datasets.image_file import UnreadableImage, crop_centre, decode, read_bytes
from ..params import Preprocess


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

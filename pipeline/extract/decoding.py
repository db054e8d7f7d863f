"""Decoding a batch of images; imports no torch, so that a process that only decodes starts quickly."""

from __future__ import annotations

import dataclasses
import math
import mmap

import numpy as np

from ..files.remote_errors import Unreachable
from ..images.address import Address
from ..images.budget import TooLarge, UnreadableImage
from ..images.image_parts import ImageParts
from ..params import Preprocess


@dataclasses.dataclass(frozen=True)
class ImageTask:
    """An image to decode: its number in the work at hand, its address, and the digest its bytes must have."""

    number: int
    path: str
    digest: bytes

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address.parse(self.path)


@dataclasses.dataclass(frozen=True)
class Failure:
    """An image that gave no pixels; `changed` if its bytes are not those of the manifest.

    `too_large` or `unreachable` if it may be sound: it is never skipped.
    """

    number: int
    path: str
    reason: str
    changed: bool = False
    too_large: bool = False
    unreachable: bool = False


@dataclasses.dataclass(frozen=True)
class Encoded:
    """An image that is left to the network's device: so many bytes of a file at its place in the batch.

    They stand where its pixels would; those of a file that is larger are here.
    """

    place: int
    length: int
    data: bytes = b""

    def file(self, images: np.ndarray) -> np.ndarray:
        """The (n,) uint8 bytes, of a batch with such images."""
        if self.data:
            return np.frombuffer(self.data, np.uint8)
        file: np.ndarray = images[self.place].reshape(-1)[: self.length]
        return file


Told = list[Failure | Encoded]  # of the images of a batch that are not pixels


def decode_into(
    batch: np.ndarray, place: int, task: ImageTask, preprocess: Preprocess, images: ImageParts
) -> Told:
    """Decode an image into its place in (B, crop, crop, 3) uint8; a failed one leaves it as it was."""
    try:
        address = task.address
        if images.digest(address) != task.digest:
            return [Failure(task.number, task.path, "changed since the manifest was written", changed=True)]
        seen = images.seen(address, preprocess)
    except UnreadableImage as error:
        return [Failure(task.number, task.path, error.reason, too_large=isinstance(error, TooLarge))]
    except Unreachable as error:
        return [Failure(task.number, task.path, str(error), unreachable=True)]
    if isinstance(seen, np.ndarray):
        batch[place] = seen
        return []
    if len(seen) > batch[place].size:
        return [Encoded(place, len(seen), seen)]
    batch[place].reshape(-1)[: len(seen)] = np.frombuffer(seen, np.uint8)
    return [Encoded(place, len(seen))]


def ring_arrays(memory: mmap.mmap, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """What processes share: the pixels of the batches, and in each batch the place of the image at work."""
    size = math.prod(shape)
    pixels = np.frombuffer(memory, np.uint8, size).reshape(shape)
    return pixels, np.frombuffer(memory, np.int64, shape[0], offset=ring_bytes(shape) - 8 * shape[0])


def ring_bytes(shape: tuple[int, ...]) -> int:
    """The size of such a memory."""
    return -(-math.prod(shape) // 8) * 8 + 8 * shape[0]

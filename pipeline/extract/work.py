"""What an extraction is asked to do and what it did: records that travel to whoever does the work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..params import Extract, Layer, Preprocess
from ..store.feature_key import FeatureKey
from ..store.layer_shape import LayerShape
from .reader import WHOLE_MACHINE, MachineShare, available_workers

_BATCH_STEP = 16
_NICENESS = 5  # on few cores the network goes first: decoding only has to keep up with it
Wait = Callable[[], Mapping[Layer, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Timed:
    """How many images a network took, and the seconds in which it did nothing else."""

    images: int = 0
    seconds: float = 0.0

    def __add__(self, other: Timed) -> Timed:
        return Timed(self.images + other.images, self.seconds + other.seconds)

    def __sub__(self, other: Timed) -> Timed:
        return Timed(self.images - other.images, self.seconds - other.seconds)


class Network(Protocol):
    """What an extraction asks of a network.

    `start` takes (B, crop, crop, 3) uint8 images, which may be overwritten once it returns, or what `decode`
    has made of them, and gives a function that waits for {layer: (B, D) array in the storage dtype}. Up to
    `in_flight` batches may be started before the first is waited for. `device_kind` names what computes, as
    far as it may decide bits, and `device` for people. `timed` is of the batches that have been waited for,
    the first left out. `shapes` tells what a row is, of the layers of which the network knows it.
    """

    in_flight: int
    device_kind: str
    device: str
    timed: Timed
    shapes: Mapping[Layer, LayerShape]

    def decode(self, images: np.ndarray, encoded: Mapping[int, np.ndarray]) -> tuple[Any, dict[int, str]]:
        """The images, with those put in by place that are still (n,) uint8 JPEG files, on the device.

        Asked only where the decoder leaves files to the device (`images.decoders`). Beside what `start` takes
        it gives why an image has no pixels, by place.
        """
        ...

    def start(self, images: np.ndarray) -> Wait:
        """Start a batch."""
        ...


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """The images to have rows of.

    Attributes
    ----------
    paths : list of N str
    digests : (N, 16) uint8
        BLAKE2b-128 of each file's bytes; the same bytes may come more than once.
    """

    paths: list[str]
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)

    def take(self, rows: np.ndarray) -> ImageFiles:
        """Some of them, in the order of `rows`."""
        return ImageFiles([self.paths[row] for row in rows.tolist()], self.digests[rows])

    def share(self, number: int, count: int) -> ImageFiles:
        """The share of that number, from 1 on, where `count` of them as even as can be follow each other."""
        return self.take(np.arange(len(self) * (number - 1) // count, len(self) * number // count))

    def distinct(self) -> ImageFiles:
        """Each digest once, where it comes first."""
        _, first = np.unique(self.digests.view("V16").ravel(), return_index=True)
        return self.take(np.sort(first))


@dataclasses.dataclass(frozen=True)
class Reading:
    """How images are read: what is done to them, how many at once, by how many processes, in what memory.

    `decoder` is a name in `images.decoders`.
    """

    preprocess: Preprocess
    batch_size: int
    workers: int
    niceness: int = _NICENESS
    memory_gb: float = Extract().memory_gb
    share: MachineShare = WHOLE_MACHINE
    decoder: str = Extract().decoder


def reading_of(extract: Extract, preprocess: Preprocess, share: MachineShare = WHOLE_MACHINE) -> Reading:
    """How `extract` says that images are read by a process that has such a share of the machine.

    The batch is rounded up, see `rounded_batch`.
    """
    batch_size = rounded_batch(extract.batch_size)
    if extract.workers == "auto":
        workers = available_workers(share.processes)
    else:
        workers = -(-extract.workers // share.processes)
    decoder, memory_gb = extract.decoder, extract.memory_gb
    return Reading(preprocess, batch_size, workers, memory_gb=memory_gb, share=share, decoder=decoder)


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done to images, whoever does it.

    Attributes
    ----------
    keys : {layer: FeatureKey}
    load_network : (device) -> Network
        Without a device on the first one that `extract` names. Can be pickled where the work is done by other
        processes.
    extract : Extract
    preprocess : Preprocess
    caches : tuple of path or address
        The row cache, and those that are read besides.
    label : str
        What the progress bar and messages call it.
    beside : ImageFiles, optional
        All images whose rows are to be of one kind of device; by default those that are worked on.
    share : MachineShare
        What a process that does it has of the machine.
    """

    keys: Mapping[Layer, FeatureKey]
    load_network: Callable[..., Network]
    extract: Extract
    preprocess: Preprocess
    caches: tuple[Path | str, ...]
    label: str = "extract"
    beside: ImageFiles | None = None
    share: MachineShare = WHOLE_MACHINE


@dataclasses.dataclass
class Outcome:
    """What an extraction did.

    Attributes
    ----------
    computed : int
        Images that went through the network.
    failures : {digest: reason}
        Images that gave no pixels.
    read, infer, write : float
        Seconds spent waiting for each, of all workers together.
    left : int
        Images that were left to other runs, which are at them.
    workers : int
        How many did it.
    timed : Timed
        What the networks took by themselves, of all workers together.
    waited : float
        Seconds spent waiting for other runs.
    device : str
        What computed; empty if nothing was to be computed.
    devices : int
        How many of one machine did it, a process each; read, infer and write are then their mean, and what
        the networks took is as of one that is as fast as all.
    """

    computed: int = 0
    failures: dict[bytes, str] = dataclasses.field(default_factory=dict)
    read: float = 0.0
    infer: float = 0.0
    write: float = 0.0
    left: int = 0
    workers: int = 1
    timed: Timed = Timed()
    waited: float = 0.0
    device: str = ""
    devices: int = 1

    def add(self, other: Outcome) -> None:
        """Count what was done besides."""
        self.computed += other.computed
        self.failures |= other.failures
        self.read += other.read
        self.infer += other.infer
        self.write += other.write
        self.left += other.left
        self.workers = max(self.workers, other.workers)
        self.timed += other.timed
        self.waited += other.waited
        self.device = self.device or other.device
        self.devices = max(self.devices, other.devices)

    @property
    def seconds(self) -> float:
        """Spent on all three."""
        return self.read + self.infer + self.write

    @property
    def bottleneck(self) -> str:
        """Which of read, infer and write took the longest."""
        return max(("read", "infer", "write"), key=lambda part: getattr(self, part))


def rounded_batch(images: int) -> int:
    """The batch size for some images: the next multiple of 16.

    Such batches give the same bits as each other, smaller ones do not (on CPUs, fp32 and bf16, measured with
    torch 2.12).
    """
    return -(-max(images, 1) // _BATCH_STEP) * _BATCH_STEP

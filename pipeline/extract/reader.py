"""Reading ahead: batches of decoded images, made by worker processes while the network computes."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait

import numpy as np

from ..errors import UserError
from ..images.budget import Budget, Turn
from ..images.decoders import Decoder, decoder_of
from ..images.image_parts import ImageParts
from ..images.read_ahead import ReadAhead
from ..machine import cores, shared_memory
from ..params import Extract, Preprocess
from .decoding import Encoded, Failure, ImageTask, Told, decode_into, ring_arrays, ring_bytes

_TASKS_A_WORKER = 2  # one at work and one at hand, so that a worker never waits for its parent
_SLOTS_SPARE = 1  # the batch that the network is at


@dataclasses.dataclass(frozen=True)
class MachineShare:
    """What a process has of a machine that it shares with others like it.

    Attributes
    ----------
    processes : int
        How many they are.
    turn : int, optional
        A file that they share; who locks it may decode an image that takes more memory than a share.
    """

    processes: int = 1
    turn: int | None = None


WHOLE_MACHINE = MachineShare()


@dataclasses.dataclass(frozen=True)
class Batch:
    """Decoded images.

    Attributes
    ----------
    images : (batch_size, crop, crop, 3) uint8
        Always of the full size; valid until the next batch is asked for.
    places : (n,) int64
        Which of the images are asked for; the others are whatever stood there.
    numbers : (n,) int64
        Their numbers, as the tasks gave them.
    failures : list of Failure
    encoded : {place: (n,) uint8}
        The files of images that are left to the network's device, in the place of their pixels.
    """

    images: np.ndarray
    places: np.ndarray
    numbers: np.ndarray
    failures: list[Failure]
    encoded: dict[int, np.ndarray]


def read_batches(
    tasks: Iterable[ImageTask],
    *,
    batch_size: int,
    preprocess: Preprocess,
    workers: int,
    niceness: int = 0,
    memory_gb: float = Extract().memory_gb,
    share: MachineShare = WHOLE_MACHINE,
    decoder: str = Extract().decoder,
) -> Generator[Batch, None, None]:
    """Decode images in batches.

    Tasks are drawn a bounded number of batches ahead. With `workers` 0, or when all fit into one batch,
    the work is done in this process: starting another costs more than it saves. Otherwise the first batch
    is an empty one that comes while the workers start, so that the caller can load its network meanwhile.

    Raises
    ------
    UserError
        If the decoder is not installed, or a worker process dies.
    """
    decode = decoder_of(decoder)
    chunks = _chunks(iter(tasks), batch_size)
    first = next(chunks, None)
    if first is None:
        return
    second = next(chunks, None)
    chunks = itertools.chain([first] if second is None else [first, second], chunks)
    if workers == 0 or second is None:
        turn = None if share.turn is None else Turn(share.turn)
        budget = Budget(memory_gb, memory_gb / share.processes, turn)
        yield from _read_here(chunks, batch_size, preprocess, budget, decode)
    else:
        with _Workers(workers, batch_size, preprocess, niceness, memory_gb, share, decoder) as pool:
            yield from pool.read(chunks)


def _chunks(tasks: Iterator[ImageTask], size: int) -> Iterator[list[ImageTask]]:
    while chunk := list(itertools.islice(tasks, size)):
        yield chunk


def _batch(images: np.ndarray, tasks: list[ImageTask], told: Told) -> Batch:
    failures = [each for each in told if isinstance(each, Failure)]
    encoded = {each.place: each.file(images) for each in told if isinstance(each, Encoded)}
    numbers = np.array([task.number for task in tasks], np.int64)
    places = np.flatnonzero(~np.isin(numbers, [failure.number for failure in failures]))
    return Batch(images, places, numbers[places], failures, encoded)


def _read_here(
    chunks: Iterator[list[ImageTask]],
    batch_size: int,
    preprocess: Preprocess,
    budget: Budget,
    decoder: Decoder,
) -> Iterator[Batch]:
    images = np.zeros((batch_size, preprocess.crop, preprocess.crop, 3), np.uint8)
    with contextlib.closing(ReadAhead()) as ahead:
        parts = ImageParts(budget, ahead.read, decoder)
        for tasks in chunks:
            ahead.expect(task.address for task in tasks)
            found = [decode_into(images, n, task, preprocess, parts) for n, task in enumerate(tasks)]
            yield _batch(images, tasks, list(itertools.chain(*found)))


class _Workers:
    """Worker processes around a ring of batches in shared memory."""

    def __init__(
        self,
        count: int,
        batch_size: int,
        preprocess: Preprocess,
        niceness: int,
        memory_gb: float,
        share: MachineShare,
        decoder: str,
    ) -> None:
        self._count = count
        self._slots = count * _TASKS_A_WORKER + _SLOTS_SPARE
        self._niceness = niceness
        self._greeting = (batch_size, preprocess, memory_gb, memory_gb / (count * share.processes), decoder)
        self._turn = share.turn
        self._shape = (self._slots, batch_size, preprocess.crop, preprocess.crop, 3)
        self._processes: dict[Connection, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> _Workers:
        size = ring_bytes(self._shape)
        ring = shared_memory(size)
        self._pixels, self._places = ring_arrays(mmap.mmap(ring, size), self._shape)
        for _ in range(self._count):
            ours, theirs = socket.socketpair()
            turn = ring if self._turn is None else self._turn
            arguments = [ring, self._slots, theirs.fileno(), self._niceness, turn]
            process = subprocess.Popen(
                [sys.executable, "-m", "pool5.extract.decode_worker", *map(str, arguments)],
                pass_fds=(ring, theirs.fileno(), turn),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            theirs.close()
            connection = Connection(ours.detach())
            self._processes[connection] = process
            connection.send(self._greeting)
        os.close(ring)
        return self

    def __exit__(self, *_: object) -> None:
        for connection, process in self._processes.items():
            connection.close()
            process.terminate()  # it only decodes: there is nothing to lose
        for process in self._processes.values():
            process.wait()

    def read(self, chunks: Iterator[list[ImageTask]]) -> Iterator[Batch]:
        free = list(range(self._slots))
        at_work: dict[Connection, list[tuple[int, list[ImageTask]]]] = {c: [] for c in self._processes}

        def hand_out() -> None:
            while free:
                idlest = min(at_work, key=lambda connection: len(at_work[connection]))
                if len(at_work[idlest]) >= _TASKS_A_WORKER or (tasks := next(chunks, None)) is None:
                    return
                at_work[idlest].append((free.pop(), tasks))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # noticed when it is heard
                    idlest.send(at_work[idlest][-1])

        hand_out()
        yield _batch(self._pixels[0], [], [])
        while any(at_work.values()):
            heard = wait([c for c, tasks in at_work.items() if tasks])
            for connection in (c for c in at_work if c in heard):
                slot, tasks = at_work[connection].pop(0)
                try:
                    _, told = connection.recv()
                except (EOFError, OSError):  # also in the midst of a message
                    code = self._processes[connection].wait()
                    raise UserError(
                        f"{tasks[self._places[slot]].path}: a decoding process died with code {code} at this "
                        "image; replace or remove it, or, if memory ran out, lower extract.workers"
                    ) from None
                yield _batch(self._pixels[slot], tasks, told)
                free.append(slot)
                hand_out()


def available_workers(processes: int = 1) -> int:
    """How many workers `extract.workers: auto` is for each of some processes that share the cores."""
    return max(min(cores() // processes, 32), 1)

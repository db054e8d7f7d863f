"""Extraction, row by row: what the cache lacks is computed, and nothing else."""

from __future__ import annotations

import collections
import dataclasses
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UserError
from ..files.remote_errors import Unreachable
from ..images.budget import TooLarge, UnreadableImage
from ..params import Extract, Layer, Preprocess
from ..progress import progress
from ..store.feature_key import FeatureKey
from ..store.row_cache import CacheWriter, StoredRows
from .decoding import Failure, ImageTask
from .reader import Batch, read_batches

_BATCH_STEP = 16
FLUSH_SECONDS = 30.0  # of work that a kill may cost; half of the minute that is promised
FLUSH_BYTES = 64 << 20
_CLAIM_SECONDS = 15.0
_FIRST_CLAIM = 4  # batches, before the speed is known
_WAIT_SECONDS = 0.2
_WAITS_TO_TELL = 25
_log = logging.getLogger(__name__)
_Wait = Callable[[], Mapping[Layer, np.ndarray]]


class Network(Protocol):
    """What an extraction asks of a network.

    `start` takes (B, crop, crop, 3) uint8 images, which may be overwritten once it returns, and gives a
    function that waits for {layer: (B, D) array in the storage dtype}. Up to `in_flight` batches may be
    started before the first is waited for.
    """

    in_flight: int

    def start(self, images: np.ndarray) -> _Wait:
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


@dataclasses.dataclass(frozen=True)
class Reading:
    """How images are read: what is done to them, how many at once, by how many processes, in what memory."""

    preprocess: Preprocess
    batch_size: int
    workers: int
    niceness: int = 0
    memory_gb: float = Extract().memory_gb


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
        Seconds spent waiting for each.
    """

    computed: int = 0
    failures: dict[bytes, str] = dataclasses.field(default_factory=dict)
    read: float = 0.0
    infer: float = 0.0
    write: float = 0.0

    @property
    def bottleneck(self) -> str:
        """Which of read, infer and write took the longest."""
        return max(("read", "infer", "write"), key=lambda part: getattr(self, part))


def compute_missing(
    writer: CacheWriter,
    keys: Mapping[Layer, FeatureKey],
    images: ImageFiles,
    load_network: Callable[[], Network],
    reading: Reading,
    *,
    skip_bad: bool,
    label: str = "extract",
) -> tuple[dict[Layer, StoredRows], Outcome]:
    """Bring the cache to hold a row of every layer for every image.

    Other extractions on the same cache share the work: each takes images that no other is at, and at the
    end waits for what the others have in hand. The network is loaded while the first images are decoded,
    so never if nothing is missing.

    Parameters
    ----------
    keys : {layer: FeatureKey}
    skip_bad : bool
        Go on when an image gives no pixels, and list it in the outcome.

    Returns
    -------
    stored : {layer: StoredRows}
    outcome : Outcome

    Raises
    ------
    UnreadableImage
        For the first image that gives no pixels, unless `skip_bad`. What was computed until then is kept.
    UserError
        If an image is not the one of the manifest, or a value is not finite.
    """
    _, first = np.unique(images.digests.view("V16").ravel(), return_index=True)
    first.sort()
    run = _Run(writer, keys, [images.paths[row] for row in first], images.digests[first], reading, skip_bad)
    run.go(load_network, label)
    for layer, stored in run.stored.items():
        if stored.width is None and len(first) > len(run.outcome.failures):
            raise UserError(f"{stored.folder}: the rows of {layer} are gone; run again")
    return run.stored, run.outcome


def rounded_batch(images: int) -> int:
    """The batch size for some images: the next multiple of 16.

    Such batches give the same bits as each other, smaller ones do not (on CPUs, fp32 and bf16, measured with
    torch 2.12).
    """
    return -(-max(images, 1) // _BATCH_STEP) * _BATCH_STEP


class _Run:
    def __init__(
        self,
        writer: CacheWriter,
        keys: Mapping[Layer, FeatureKey],
        paths: list[str],
        digests: np.ndarray,
        reading: Reading,
        skip_bad: bool,
    ) -> None:
        self.writer, self.keys, self.paths, self.digests = writer, keys, paths, digests
        self.reading, self.skip_bad = reading, skip_bad
        self.outcome = Outcome()
        self.stored = {layer: writer.rows(key) for layer, key in keys.items()}
        for stored in self.stored.values():
            writer.check(stored, digests)
        lacking = [stored.find(digests)[:, 0] < 0 for stored in self.stored.values()]
        self.pending = np.flatnonzero(np.any(lacking, axis=0)) if lacking else np.empty(0, np.int64)
        batch_size = min(reading.batch_size, rounded_batch(len(self.pending)))
        self.reading = dataclasses.replace(reading, batch_size=batch_size)
        self._claims: dict[Path, set[int]] = {}  # what is taken and not yet stored
        self._waiting = self._waited = 0
        # (numbers, places, wait) of batches in flight
        self._started: collections.deque[tuple[np.ndarray, np.ndarray, _Wait]] = collections.deque()
        self._numbers: list[np.ndarray] = []
        self._values: dict[Layer, list[np.ndarray]] = {layer: [] for layer in keys}
        self._held = 0  # bytes in _values
        self._failed: set[int] = set()
        self._flushed_at = self._started_at = time.monotonic()

    def go(self, load_network: Callable[[], Network], label: str) -> None:
        network: Network | None = None
        with progress(total=len(self.pending), desc=label, unit="image") as bar:
            while True:
                batches = read_batches(
                    self._tasks(),
                    batch_size=self.reading.batch_size,
                    preprocess=self.reading.preprocess,
                    workers=self.reading.workers,
                    niceness=self.reading.niceness,
                    memory_gb=self.reading.memory_gb,
                )
                try:
                    for batch in self._timed(batches):
                        self._note(batch.failures)
                        network = network or load_network()
                        self._infer(network, batch)
                        bar.update(len(batch.numbers))
                    self._collect(0)
                finally:  # also after an error: what has been computed is kept
                    batches.close()
                    self._flush()
                if not self._waiting:
                    return
                self._wait_for_others()

    def _wait_for_others(self) -> None:
        """Wait a little for what other runs have claimed; after some time, say for whom."""
        self._waited += 1
        if self._waited == _WAITS_TO_TELL:
            _log.warning(
                "waiting for %d images that are claimed by %s (end it if it hangs)",
                self._waiting,
                self.writer.who_is_at_work(),
            )
        time.sleep(_WAIT_SECONDS)

    def _tasks(self) -> Iterator[ImageTask]:
        """Images that nobody is at, claimed some seconds of work at a time as they are asked for."""
        while len(self.pending):
            claim, taken, self._waiting = self.writer.claim(
                self.stored, self.digests[self.pending], self._limit()
            )
            if claim is None:
                return
            numbers = self.pending[taken]
            self.pending = np.delete(self.pending, taken)
            self._claims[claim] = set(numbers.tolist())
            for number in numbers.tolist():
                yield ImageTask(number, self.paths[number], self.digests[number].tobytes())
        self._waiting = 0

    def _limit(self) -> int:
        batch = self.reading.batch_size
        if not self.outcome.computed:
            return _FIRST_CLAIM * batch
        speed = self.outcome.computed / (time.monotonic() - self._started_at)
        return max(batch, int(speed * _CLAIM_SECONDS) // batch * batch)

    def _timed(self, batches: Generator[Batch, None, None]) -> Iterator[Batch]:
        while True:
            began = time.monotonic()
            batch = next(batches, None)
            self.outcome.read += time.monotonic() - began
            if batch is None:
                return
            yield batch

    def _note(self, failures: list[Failure]) -> None:
        for failure in failures:
            if failure.changed:
                raise UserError(f"{failure.path}: {failure.reason}", rerun="dataset")
            if failure.too_large:
                raise TooLarge(failure.path, failure.reason)
            if failure.unreachable:
                raise Unreachable(failure.reason)
            if not self.skip_bad:
                raise UnreadableImage(failure.path, failure.reason)
            self.outcome.failures[self.digests[failure.number].tobytes()] = failure.reason
            self._failed.add(failure.number)

    def _infer(self, network: Network, batch: Batch) -> None:
        if len(batch.numbers):
            began = time.monotonic()
            self._started.append((batch.numbers, batch.places, network.start(batch.images)))
            self.outcome.infer += time.monotonic() - began
        self._collect(network.in_flight)

    def _collect(self, leave: int) -> None:
        """Wait for started batches until `leave` are left; store when there is enough to store."""
        while len(self._started) > leave:
            numbers, places, wait = self._started.popleft()
            began = time.monotonic()
            values = wait()
            self.outcome.infer += time.monotonic() - began
            for layer in self.keys:
                rows = values[layer][places]
                if not np.isfinite(rows).all():
                    self._refuse(layer, numbers[~np.isfinite(rows).all(axis=1)][0])
                self._values[layer].append(rows)
                self._held += rows.nbytes
            self._numbers.append(numbers)
            self.outcome.computed += len(numbers)
            if self._held >= FLUSH_BYTES or time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
                self._flush()

    def _refuse(self, layer: Layer, number: int) -> None:
        key = self.keys[layer]
        remedy = (
            ""
            if key.dtype == "float32" and key.precision != "fp16"
            else "; try dtype float32, precision fp32"
        )
        raise UserError(
            f"{self.paths[number]}: node {layer} of {key.architecture} gives no finite value{remedy}"
        )

    def _flush(self) -> None:
        """Store what has been computed, and give up the claims on it."""
        began = time.monotonic()
        numbers = np.concatenate([np.empty(0, np.int64), *self._numbers])
        for layer, parts in self._values.items():
            if len(numbers):
                # another layer's rows of these images may have been there before
                lacking = self.stored[layer].find(self.digests[numbers])[:, 0] < 0
                self.writer.add(
                    self.keys[layer], self.digests[numbers[lacking]], np.concatenate(parts)[lacking]
                )
                self.stored[layer].refresh()
            parts.clear()
        done = {*numbers.tolist(), *self._failed}
        for claim in list(self._claims):
            self._claims[claim] -= done
            if not self._claims[claim]:
                self.writer.release(claim)
                del self._claims[claim]
        self._numbers.clear()
        self._held = 0
        self._flushed_at = time.monotonic()
        self.outcome.write += self._flushed_at - began

"""Extraction, row by row: what the cache lacks is computed, and nothing else."""

from __future__ import annotations

import collections
import dataclasses
import logging
import time
from collections.abc import Generator, Iterator, Mapping

import numpy as np

from ..errors import UserError
from ..files.remote_errors import Unreachable
from ..images.budget import TooLarge, UnreadableImage
from ..params import Layer
from ..progress import progress
from ..store.row_cache import CacheWriter, StoredRows
from .decoding import Failure, ImageTask
from .reader import Batch, read_batches
from .work import ImageFiles, Network, Outcome, Timed, Wait, Work, reading_of, rounded_batch

FLUSH_SECONDS = 30.0  # of work that a kill may cost; half of the minute that is promised
FLUSH_BYTES = 64 << 20
_CLAIM_SECONDS = 15.0
_FIRST_CLAIM = 4  # batches, before the speed is known
_WAIT_SECONDS, _LONGEST_WAIT = 0.2, 2.0  # in a bucket each look costs requests
_WAITS_TO_TELL = 25
_log = logging.getLogger(__name__)


Stored = dict[Layer, StoredRows]


def compute_missing(
    writer: CacheWriter, images: ImageFiles, work: Work, *, waits: bool = True
) -> tuple[Stored, Outcome]:
    """Bring the cache to hold a row of every layer for every image.

    Other extractions on the same cache share the work: each takes images that no other is at, and at the
    end waits for what the others have in hand. The network is loaded while the first images are decoded,
    so never if nothing is missing.

    Parameters
    ----------
    waits : bool
        For what others have in hand; otherwise that is left to them, and counted.

    Returns
    -------
    stored : {layer: StoredRows}
    outcome : Outcome

    Raises
    ------
    UnreadableImage
        For the first image that gives no pixels, unless bad images are to be skipped. What was computed until
        then is kept.
    UserError
        If an image is not the one of the manifest, a value is not finite, or the rows that are there come
        from another kind of device.
    """
    images = images.distinct()
    run = _Run(writer, images, work, waits)
    run.go(work)
    if waits:
        check_there(run.stored, len(images) - len(run.outcome.failures))
    return run.stored, run.outcome


def rows_of(writer: CacheWriter, images: ImageFiles, work: Work) -> Stored:
    """What the cache has for some images."""
    return {layer: writer.rows(key, images.digests) for layer, key in work.keys.items()}


def lacking(stored: Mapping[Layer, StoredRows], digests: np.ndarray) -> np.ndarray:
    """Positions in (N, 16) digests of images that lack a row of some layer: (n,) int64."""
    absent = [rows.find(digests)[:, 0] < 0 for rows in stored.values()]
    return np.flatnonzero(np.any(absent, axis=0)) if absent else np.empty(0, np.int64)


def check_there(stored: Mapping[Layer, StoredRows], images: int) -> None:
    """Refuse to go on with rows that were there and are not."""
    for layer, rows in stored.items():
        if rows.width is None and images:
            raise UserError(f"{rows.folder}: the rows of {layer} are gone; run again")


def check_kinds(stored: Mapping[Layer, StoredRows], kind: str = "") -> None:
    """Refuse rows of a layer from several kinds of device, which may give other bits for the same image.

    Parameters
    ----------
    kind : str
        Of the device that is to add to them.
    """
    for layer, rows in stored.items():
        if len(kinds := {kind, *rows.kinds()} - {""}) > 1:
            raise UserError(
                f"{rows.folder}: rows of {layer} by {' and by '.join(sorted(kinds))}, which may differ in "
                "their last bits; go on where they were computed, or set extract.mixed: true"
            )


class _Run:
    def __init__(self, writer: CacheWriter, images: ImageFiles, work: Work, waits: bool) -> None:
        self.writer, self.keys, self.waits = writer, work.keys, waits
        self.paths, self.digests = images.paths, images.digests
        self.stored = rows_of(writer, images, work)
        self.skip_bad = work.extract.on_bad_image == "skip"
        self.outcome = Outcome()
        self.pending = lacking(self.stored, self.digests)
        reading = reading_of(work.extract, work.preprocess)
        batch_size = min(reading.batch_size, rounded_batch(len(self.pending)))
        self.reading = dataclasses.replace(reading, batch_size=batch_size)
        self._device_kind = ""
        self._claims: dict[str, set[int]] = {}  # what is taken and not yet stored
        self._waiting = self._waited = 0
        # (numbers, places, wait) of batches in flight
        self._started: collections.deque[tuple[np.ndarray, np.ndarray, Wait]] = collections.deque()
        self._numbers: list[np.ndarray] = []
        self._values: dict[Layer, list[np.ndarray]] = {layer: [] for layer in work.keys}
        self._held = 0  # bytes in _values
        self._failed: set[int] = set()
        self._flushed_at = self._started_at = time.monotonic()

    def go(self, work: Work) -> None:
        network: Network | None = None
        before = Timed()  # of a network that has been at work already
        with progress(total=len(self.pending), desc=work.label, unit="image") as bar:
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
                        if network is None:
                            network = self._loaded(work)
                            before = network.timed
                        self._infer(network, batch)
                        bar.update(len(batch.numbers))
                    self._collect(0)
                finally:  # also after an error: what has been computed is kept
                    batches.close()
                    self._flush()
                if not self._waiting or not self.waits:
                    self.outcome.left = self._waiting
                    if network is not None:
                        self.outcome.timed, self.outcome.device = network.timed - before, network.device
                        self._keep_shapes(network)
                    return
                self._wait_for_others()

    def _loaded(self, work: Work) -> Network:
        network = work.load_network()
        self._device_kind = network.device_kind
        if not work.extract.mixed:
            check_kinds(self.stored, network.device_kind)
        return network

    def _keep_shapes(self, network: Network) -> None:
        """Here, where the network is; later it would have to be opened once more."""
        for layer, rows in self.stored.items():
            if layer in network.shapes and rows.shape is None:
                self.writer.keep_shape(rows.key, network.shapes[layer])

    def _wait_for_others(self) -> None:
        """Wait a little for what other runs have claimed; after some time, say for whom."""
        self._waited += 1
        if self._waited == _WAITS_TO_TELL:
            _log.warning(
                "waiting for %d images that are claimed by %s (end it if it hangs)",
                self._waiting,
                self.writer.who_is_at_work(),
            )
        seconds = min(_WAIT_SECONDS * max(self._waited / 10, 1), _LONGEST_WAIT)
        time.sleep(seconds)
        self.outcome.waited += seconds

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
                absent = self.stored[layer].find(self.digests[numbers])[:, 0] < 0
                rows, digests = np.concatenate(parts)[absent], self.digests[numbers[absent]]
                self.writer.add(self.keys[layer], digests, rows, self._device_kind)
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

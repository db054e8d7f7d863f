"""Extraction, row by row: what the cache lacks is computed, and nothing else."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from ..errors import UserError
from ..files.remote_errors import Unreachable
from ..images.budget import TooLarge, UnreadableImage
from ..params import Layer
from ..progress import progress
from ..store.row_cache import CacheWriter
from .decoding import Failure, ImageTask
from .reader import Batch, read_batches
from .row_writer import RowWriter
from .shares import Missing, Shares
from .stored_rows import Stored, check_device, check_there, rows_of
from .work import ImageFiles, Network, Outcome, Timed, Wait, Work, reading_of, rounded_batch

FLUSH_SECONDS = 30.0  # of work that a kill may cost; half of the minute that is promised
FLUSH_BYTES = 64 << 20  # likewise: one half is gathered while the other is stored
_CLAIM_SECONDS = 15.0
_FIRST_CLAIM = 4  # batches, before the speed is known


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
    stored = rows_of(writer, images, work)
    missing = Missing(writer, stored, images.digests, waits)
    run = Run(writer, images, work, stored, missing, most=len(missing.pending))
    with progress(total=len(missing.pending), desc=work.label, unit="image") as bar:
        run.go(bar.update)
    if waits:
        check_there(stored, len(images) - len(run.outcome.failures))
    return stored, run.outcome


class Run:
    """One process that computes what `shares` gives it, of at most `most` images, on one device."""

    def __init__(
        self, writer: CacheWriter, images: ImageFiles, work: Work, stored: Stored, shares: Shares, most: int
    ) -> None:
        self.writer, self.work, self.keys, self.shares = writer, work, work.keys, shares
        self.paths, self.digests = images.paths, images.digests
        self.stored = stored
        self.skip_bad = work.extract.on_bad_image == "skip"
        self.outcome = Outcome()
        reading = reading_of(work.extract, work.preprocess, work.share)
        self.reading = dataclasses.replace(reading, batch_size=min(reading.batch_size, rounded_batch(most)))
        self._device_kind = ""
        self._claims: dict[str, set[int]] = {}  # what is taken and not yet stored
        # (numbers, places, wait) of batches in flight
        self._started: collections.deque[tuple[np.ndarray, np.ndarray, Wait]] = collections.deque()
        self._rows = RowWriter(writer, work.keys, stored, images.digests)
        self._failed: set[int] = set()
        self._flushed_at = self._started_at = time.monotonic()

    def go(self, tell: Callable[[int], object]) -> None:
        """Compute until there is no share; `tell` is told of images that have gone to the network."""
        network: Network | None = None
        before = Timed()  # of a network that has been at work already
        goes_on = True
        while goes_on:
            batches = read_batches(
                self._tasks(),
                batch_size=self.reading.batch_size,
                preprocess=self.reading.preprocess,
                workers=self.reading.workers,
                niceness=self.reading.niceness,
                memory_gb=self.reading.memory_gb,
                share=self.reading.share,
                decoder=self.reading.decoder,
            )
            try:
                for batch in self._timed(batches):
                    self._note(batch.failures)
                    if network is None:
                        network = self._loaded()
                        before = network.timed
                    self._infer(network, batch)
                    tell(len(batch.numbers))
                self._collect(0)
            except (UserError, KeyboardInterrupt):
                with contextlib.suppress(UserError):  # one is told already
                    self._collect(0)  # what a device has begun is as good as computed
                raise
            finally:  # also after an error: what has been computed is kept
                batches.close()
                try:
                    self._flush()
                finally:  # also if what was begun before could not be stored
                    self._rows.begin(self._device_kind)
                    self._settle()
            goes_on = self.shares.go_on()
        self.outcome.left, self.outcome.waited = self.shares.left, self.shares.waited
        if network is not None:
            self.outcome.timed, self.outcome.device = network.timed - before, network.device
            self._keep_shapes(network)

    def _loaded(self) -> Network:
        network = self.work.load_network()
        self._device_kind = network.device_kind
        check_device(network.device_kind, self.writer, self.stored, self.work)
        return network

    def _keep_shapes(self, network: Network) -> None:
        """Here, where the network is; later it would have to be opened once more."""
        for layer, rows in self.stored.items():
            if layer in network.shapes and rows.shape is None:
                self.writer.keep_shape(rows.key, network.shapes[layer])

    def _tasks(self) -> Iterator[ImageTask]:
        """Images that nobody is at, claimed some seconds of work at a time as they are asked for."""
        while share := self.shares.take(self._limit()):
            self._claims[share.claim] = set(share.numbers.tolist())
            for number in share.numbers.tolist():
                yield ImageTask(number, self.paths[number], self.digests[number].tobytes())

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
            images, numbers, places = self._decoded(network, batch)
            self._started.append((numbers, places, network.start(images)))
            self.outcome.infer += time.monotonic() - began
        self._collect(network.in_flight)

    def _decoded(self, network: Network, batch: Batch) -> tuple[Any, np.ndarray, np.ndarray]:
        """What the network starts with, with what is left to its device decoded; numbers and places."""
        if not batch.encoded:
            return batch.images, batch.numbers, batch.places
        images, refused = network.decode(batch.images, batch.encoded)
        bad = np.isin(batch.places, list(refused))
        for number, place in zip(batch.numbers[bad].tolist(), batch.places[bad].tolist(), strict=True):
            self._note([Failure(number, self.paths[number], refused[place])])
        return images, batch.numbers[~bad], batch.places[~bad]

    def _collect(self, leave: int) -> None:
        """Wait for started batches until `leave` are left; store when there is enough to store."""
        while len(self._started) > leave:
            numbers, places, wait = self._started.popleft()
            began = time.monotonic()
            values = wait()
            self.outcome.infer += time.monotonic() - began
            wanted = {}
            for layer in self.keys:
                rows = values[layer][places]
                if not np.isfinite(rows).all():
                    self._refuse(layer, numbers[~np.isfinite(rows).all(axis=1)][0])
                wanted[layer] = rows
            self._rows.gather(numbers, wanted)
            self.outcome.computed += len(numbers)
            if self._rows.held >= FLUSH_BYTES // 2 or time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
                self._flush()
            else:
                self._settle(wait=False)

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
        """Begin to store what has been computed, once what was begun before is stored."""
        self._settle()
        self._rows.begin(self._device_kind)
        self._flushed_at = time.monotonic()

    def _settle(self, *, wait: bool = True) -> None:
        """Give up the claims on what is stored by now; waits for what is being stored, if asked to."""
        began = time.monotonic()
        stored = self._rows.stored(wait=wait)
        if not wait and not len(stored):
            return
        done = {*stored.tolist(), *self._failed}
        for claim in list(self._claims):
            self._claims[claim] -= done
            if not self._claims[claim]:
                self.shares.release(claim)
                del self._claims[claim]
        self.outcome.write += time.monotonic() - began

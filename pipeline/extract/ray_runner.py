"""Extraction on the machines of a Ray cluster.

The driver finds what is missing and cuts it into units of about a minute, in the manifest's order, so that
publishing reads shards in order. A worker has two of them in hand, decodes, computes and writes its own
shards to the shared cache; what comes back are counts, failures and seconds, never rows. When a worker dies
its units go to others, and what it had stored of them is not computed again. Claims keep two runs from
computing the same rows, as on one machine.
"""

from __future__ import annotations

import collections
import logging
import os
import time
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from ..errors import UserError
from ..files.remote import is_remote
from ..progress import progress
from ..ray_cluster import connected
from ..store.row_cache import CacheWriter
from .ray_fleet import Fleet, Member, Unit, check_device, first_of
from .stored_rows import Stored, check_kinds, check_there, lacking, rows_of
from .work import ImageFiles, Outcome, Work, rounded_batch

_UNIT_SECONDS = 60.0
_FIRST_UNIT = 4  # batches, before the speed is known
_IN_HAND = 2  # one at work and one at hand, so that a worker never waits for the driver
_DEATHS = 3
_WAIT_SECONDS = 1.0
_WAITS_TO_TELL = 5
_APPEAR_SECONDS = 60.0  # a network file system may show a new file that late
_NAMED = 3
_log = logging.getLogger(__name__)


def compute_through_ray(writer: CacheWriter, images: ImageFiles, work: Work) -> tuple[Stored, Outcome]:
    """As `extractor.compute_missing`, on the cluster at RAY_ADDRESS, or on one of this machine's processes.

    Raises
    ------
    UserError
        Also if the cluster cannot be reached or has no machine that can compute, its machines have other
        versions or do not share the row cache, or at some images a worker dies three times.
    """
    check_device(work.extract)
    images = images.distinct()
    stored = rows_of(writer, images, work)
    outcome = Outcome()
    missing = lacking(stored, images.digests)
    if len(missing):
        kinds = {kind for rows in stored.values() for kind in rows.kinds()}
        if not work.extract.mixed:
            check_kinds(stored)
        with (
            connected(),
            Fleet(work, next(iter(sorted(kinds)), ""), _working_folder(images, work)) as fleet,
            progress(total=len(missing), desc=work.label, unit="image") as bar,
        ):
            _Driver(fleet, writer, images, work, stored, outcome, bar).run(missing)
    check_there(stored, len(images) - len(outcome.failures))
    return stored, outcome


def _working_folder(images: ImageFiles, work: Work) -> str:
    """The working folder, if an image or a cache is named from it."""
    named = [*map(str, work.caches), *images.paths]
    return "" if all(name.startswith("/") or is_remote(name) for name in named) else os.getcwd()  # noqa: PTH109


class _Driver:
    def __init__(
        self,
        fleet: Fleet,
        writer: CacheWriter,
        images: ImageFiles,
        work: Work,
        stored: Stored,
        outcome: Outcome,
        bar: Any,
    ) -> None:
        self.fleet, self.writer, self.images, self.work = fleet, writer, images, work
        self.stored, self.outcome, self.bar = stored, outcome, bar
        self._batch = rounded_batch(work.extract.batch_size)
        self._pending = np.empty(0, np.int64)
        self._back: collections.deque[Unit] = collections.deque()  # whose worker has died
        self._workers: set[int] = set()

    def run(self, missing: np.ndarray) -> None:
        """Have all computed that is missing: in rounds, as other runs may be at some of it."""
        waits = 0
        while len(missing):
            self.outcome.left, computed = 0, self.outcome.computed
            # from anywhere on, so that two runs meet late
            self._pending = np.roll(missing, -int(np.random.default_rng().integers(len(missing))))
            self._round()
            missing = self._missing()
            missing = self._appeared(missing, self.outcome.left)
            if len(missing) and self.outcome.computed == computed:
                waits += 1
                if waits == _WAITS_TO_TELL:
                    who = self.writer.who_is_at_work()
                    _log.warning("waiting for %d images that are claimed by %s", len(missing), who)
                time.sleep(_WAIT_SECONDS)
        self.outcome.workers = max(1, len(self._workers))

    def _round(self) -> None:
        while len(self._pending) or self._back or self.fleet.is_at_work:
            self._back.extend(self.fleet.look())
            self._hand_out()
            for member in first_of(self.fleet.members, _WAIT_SECONDS):
                self._hear(member)

    def _hand_out(self) -> None:
        for turn in range(_IN_HAND):
            for member in self.fleet.members:
                if member.ready and len(member.at_work) == turn and (unit := self._next(member)):
                    member.give(unit, self.images.take(unit.numbers))

    def _next(self, member: Member) -> Unit | None:
        if self._back:
            return self._back.popleft()
        if not len(self._pending):
            return None
        workers = len(self.fleet.members)  # also those that are to begin
        # towards the end smaller ones, so that all end at the same time
        share = len(self._pending) if workers == 1 else len(self._pending) // (_IN_HAND * workers)
        size = min(int(member.speed * _UNIT_SECONDS), share) if member.speed else _FIRST_UNIT * self._batch
        size = max(size // self._batch, 1) * self._batch
        numbers, self._pending = self._pending[:size], self._pending[size:]
        return Unit(numbers)

    def _hear(self, member: Member) -> None:
        ref, unit = member.at_work.popleft()
        try:
            answer = ray.get(ref)
        except RayTaskError as error:  # what our own code raised there
            raise error.cause from error
        except RayError as error:
            self._back.extend(self.fleet.lose(member))
            if unit:
                self._died(unit)
            else:
                self.fleet.failed(member, error)
        else:
            if unit:
                self._count(member, unit, answer)
            else:
                self._back.extend(self.fleet.heard(member, answer))

    def _count(self, member: Member, unit: Unit, done: Outcome) -> None:
        self.outcome.add(done)
        self.bar.update(done.computed)
        self._check_files(unit, done)
        if done.computed:
            member.speed = done.computed / max(done.seconds, 1e-3)
            if not self._workers:  # at the first one: are the rows where they are looked for?
                self._appeared(self._missing(unit.numbers), done.left)
            self._workers.add(id(member))

    def _died(self, unit: Unit) -> None:
        unit.deaths += 1
        self._back.append(unit)
        if unit.deaths >= _DEATHS:
            named = ", ".join(self.images.paths[number] for number in unit.numbers[:_NAMED])
            more = f" and {len(unit.numbers) - _NAMED} more" if len(unit.numbers) > _NAMED else ""
            raise UserError(
                f"{unit.deaths} workers died at the same images: {named}{more}; if memory ran out, lower "
                "extract.batch_size or extract.workers"
            )

    def _missing(self, numbers: np.ndarray | None = None) -> np.ndarray:
        """Numbers of images, of all or of some, that still lack a row and can be read."""
        for rows in self.stored.values():
            rows.refresh()
            self.writer.set_aside(rows)
        numbers = np.arange(len(self.images)) if numbers is None else numbers
        numbers = numbers[lacking(self.stored, self.images.digests[numbers])]
        failed = [self.images.digests[n].tobytes() in self.outcome.failures for n in numbers.tolist()]
        found: np.ndarray = numbers[~np.array(failed, bool)]
        return found

    def _appeared(self, numbers: np.ndarray, left: int) -> np.ndarray:
        """Wait until all rows but those that were left to other runs are here; gives which are lacking."""
        ended = time.monotonic() + _APPEAR_SECONDS
        while len(numbers) > left:
            if time.monotonic() > ended:
                where = next(iter(self.stored.values())).folder
                raise UserError(
                    f"{where}: rows that the workers have stored are not here; extract.cache must be a "
                    "folder that all machines share, or s3://…"
                )
            time.sleep(_WAIT_SECONDS)
            numbers = self._missing(numbers)
        return numbers

    def _check_files(self, unit: Unit, done: Outcome) -> None:
        """Refuse to call an image bad that is only not on the worker's machine."""
        for number in unit.numbers.tolist() if done.failures else ():
            path = self.images.paths[number]
            reason = done.failures.get(self.images.digests[number].tobytes(), "")
            if "no such file" in reason and os.path.exists(path):  # noqa: PTH110
                raise UserError(f"{path}: here, but not on a worker's machine; share dataset.root with it")

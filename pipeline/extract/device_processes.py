"""Extraction on the devices of this machine: on one in this process, on several in a process each.

This process has the hold on the row cache and hands out what is missing, a share at a time to whoever asks,
so that a slow device gets less. Each of the others decodes, computes and stores its own rows. The images of
one that dies go to the others; an error, which any of them would meet, ends all.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import msgspec
import numpy as np

from ..errors import UserError
from ..machine import cores, gpus, shared_memory
from ..params import Extract
from ..progress import progress
from ..store.row_cache import CacheWriter
from .device_worker import Assignment
from .extractor import compute_missing
from .reader import MachineShare
from .shares import Missing, Share
from .stored_rows import Stored, check_device, check_there, rows_of
from .work import ImageFiles, Outcome, Timed, Work, rounded_batch

_LEAST_BATCHES = 2  # for each device; with fewer images it is not worth its start
_END_SECONDS = 30.0  # to store what has been computed
_log = logging.getLogger(__name__)


def compute_locally(writer: CacheWriter, images: ImageFiles, work: Work) -> tuple[Stored, Outcome]:
    """As `extractor.compute_missing`, on all devices that `extract.device` means.

    Raises
    ------
    UserError
        Also if the devices are of several kinds, or all processes have died.
    """
    devices = devices_of(work.extract)
    if len(devices) == 1:
        return compute_missing(writer, images, work)
    images = images.distinct()
    stored = rows_of(writer, images, work)
    missing = Missing(writer, stored, images.digests)
    batches = len(missing.pending) // rounded_batch(work.extract.batch_size)
    devices = devices[: batches // _LEAST_BATCHES]
    if len(devices) < 2:
        return compute_missing(writer, images, work)
    with (
        progress(total=len(missing.pending), desc=work.label, unit="image") as bar,
        _Processes(writer, stored, work, missing, bar) as processes,
    ):
        outcome = processes.run(devices, images)
    for rows in stored.values():
        rows.refresh()
        writer.set_aside(rows)
    check_there(stored, len(images) - len(outcome.failures))
    return stored, outcome


def devices_of(extract: Extract) -> Sequence[str]:
    """The devices that `extract.device` means; torch is asked only where there may be several GPUs.

    Raises
    ------
    UserError
        If a list names several kinds, unless these may be mixed.
    """
    if extract.device in ("auto", "cuda") and gpus() > 1:
        from ..models.device import all_gpus

        return all_gpus(extract.mixed) or extract.devices
    if len({name.partition(":")[0] for name in extract.devices}) > 1 and not extract.mixed:
        raise _of_several_kinds(extract, "CPUs and GPUs")
    return extract.devices


def _of_several_kinds(extract: Extract, kinds: str) -> UserError:
    return UserError(
        f"extract.device: [{', '.join(extract.devices)}]: {kinds} may differ in the last bits of a row; name "
        "devices of one kind, or set extract.mixed: true"
    )


@dataclasses.dataclass(eq=False)
class _Process:
    device: str
    process: subprocess.Popen[bytes]
    connection: Connection
    given: list[np.ndarray] = dataclasses.field(default_factory=list)  # numbers of images
    held: dict[str, Share] = dataclasses.field(default_factory=dict)  # and not yet stored, by claim
    outcome: Outcome = dataclasses.field(default_factory=Outcome)
    seen: int = 0  # images that it has put through the network
    idle: bool = False
    words: str = ""

    def answer(self, said: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # noticed when it is heard
            self.connection.send(said)


class _Processes:
    """A process for each device; a context, at whose end they end."""

    def __init__(self, writer: CacheWriter, stored: Stored, work: Work, missing: Missing, bar: Any) -> None:
        self._writer, self._stored, self._work, self._missing = writer, stored, work, missing
        self._bar = bar
        self._batch = rounded_batch(work.extract.batch_size)
        self._all: list[_Process] = []
        self._at_work: list[_Process] = []
        self._kinds: set[str] = set()
        self._given_back = False
        self._told: set[str] = set()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        for one in self._all:
            one.connection.close()
            if error:
                one.process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                for one in self._all:
                    one.process.wait(_END_SECONDS)
        finally:  # also when Ctrl-C comes again
            for one in self._all:
                one.process.kill()
                one.process.wait()

    def run(self, devices: Sequence[str], images: ImageFiles) -> Outcome:
        """Have all computed that is missing."""
        turn = shared_memory(1)
        for device in devices:
            self._all.append(self._start(device, len(devices), turn))
        self._at_work = list(self._all)
        # of which kinds of device the rows may be is said here, where all of them are seen
        share, most = MachineShare(len(devices), turn), len(self._missing.pending)
        for one in self._all:
            extract = msgspec.structs.replace(self._work.extract, device=one.device, mixed=True)
            work = dataclasses.replace(self._work, extract=extract, share=share, beside=None)
            one.answer(Assignment(one.device, work, images, most))
        os.close(turn)
        self._hear()
        return self._outcome()

    def _hear(self) -> None:
        """Do what they ask for, until all have ended."""
        while self._at_work:
            ready = wait([one.connection for one in self._at_work])
            for one in [one for one in self._at_work if one.connection in ready]:
                try:
                    what, told = one.connection.recv()
                except (EOFError, OSError):  # also in the midst of a message
                    self._lose(one)
                else:
                    getattr(self, f"_on_{what}")(one, *told)

    def _start(self, device: str, count: int, turn: int) -> _Process:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "pool5.extract.device_worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), turn),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": str(max(cores() // count, 1))} | os.environ,
            )
        return _Process(device, process, Connection(ours.detach()))

    def _on_begun(self, one: _Process, kind: str, words: str) -> None:
        self._kinds.add(kind)
        if len(self._kinds) > 1 and not self._work.extract.mixed:
            raise _of_several_kinds(self._work.extract, " and ".join(sorted(self._kinds)))
        check_device(kind, self._writer, self._stored, self._work)
        one.words = words
        one.answer(None)

    def _on_take(self, one: _Process, limit: int) -> None:
        # towards the end smaller ones, so that all end at the same time
        fair = len(self._missing.pending) // (2 * len(self._at_work)) // self._batch * self._batch
        share = self._missing.take(min(limit, max(fair, self._batch)))
        if share:
            one.held[share.claim] = share
            one.given.append(share.numbers)
        one.answer(share)

    def _on_computed(self, one: _Process, images: int) -> None:
        one.seen += images
        self._bar.update(images)

    def _on_release(self, one: _Process, claim: str, outcome: Outcome) -> None:
        one.outcome = outcome
        self._missing.release(claim)
        del one.held[claim]

    def _on_idle(self, one: _Process) -> None:
        one.idle = True
        if self._given_back:
            self._wake(True)
        elif all(other.idle for other in self._at_work):
            self._wake(self._missing.go_on())

    def _on_log(self, one: _Process, level: int, message: str) -> None:
        if message not in self._told:  # each of them may say the same
            self._told.add(message)
            _log.log(level, message)

    def _on_error(self, one: _Process, error: Exception) -> None:
        raise error

    def _on_end(self, one: _Process, outcome: Outcome) -> None:
        one.outcome = outcome
        self._at_work.remove(one)

    def _wake(self, more: bool) -> None:
        """Tell those that have nothing to do to ask again, or to end."""
        for one in self._at_work:
            if one.idle:
                one.idle = self._given_back = False
                one.answer(more)

    def _lose(self, one: _Process) -> None:
        """A process has died: what it had in hand goes to the others, but for the rows that it has stored."""
        self._at_work.remove(one)
        for share in one.held.values():
            self._missing.give_back(share)
        given = np.concatenate([np.empty(0, np.int64), *one.given])
        one.outcome.computed = self._missing.count_stored(given)
        self._bar.update(one.outcome.computed - one.seen)
        told = f"extract.device: the process of {one.device} {_how_it_ended(one.process)}"
        pending = self._missing.pending
        if not self._at_work and self._missing.count_stored(pending) < len(pending):
            raise UserError(
                f"{told}, and no other is left; finished work is kept; if memory ran out, lower "
                "extract.batch_size or extract.workers"
            )
        _log.warning("%s; its images go to the others" if self._at_work else "%s", told)
        self._given_back = True  # until somebody has heard it: none may be idle yet
        self._wake(True)

    def _outcome(self) -> Outcome:
        """What all have done together, in the time of one."""
        at_work = [one for one in self._all if one.outcome.computed]
        total, count = Outcome(), max(len(at_work), 1)
        for one in self._all:
            total.add(one.outcome)
        named = collections.Counter(one.words for one in at_work)
        total.device = " + ".join(f"{n} × {words}" if n > 1 else words for words, n in named.items())
        total.devices = count
        total.read, total.infer, total.write = (
            seconds / count for seconds in (total.read, total.infer, total.write)
        )
        total.timed = Timed(total.timed.images, total.timed.seconds / count)
        total.waited = self._missing.waited
        return total


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return "does not answer"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

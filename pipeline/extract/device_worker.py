"""A process that computes on one device: images from its parent, rows into the row cache by itself.

Started by `device_processes.py` as `python -m pool5.extract.device_worker`, as CUDA and a fork do not mix.
It ends when its parent does, however that happens, and stores what it has computed before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ..errors import UserError
from ..store.row_cache import RowCache
from .device_errors import has_failed
from .extractor import Run
from .shares import Share
from .stored_rows import rows_of
from .work import ImageFiles, Network, Outcome, Work


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What it is to do.

    Attributes
    ----------
    device : str
    work : Work
    images : ImageFiles
        Of which the parent's shares are.
    most : int
        How many of them lack a row.
    """

    device: str
    work: Work
    images: ImageFiles
    most: int


class ParentGoneError(Exception):
    """Nobody is there to ask, or nothing to tell that the end does not."""


class Parent:
    """The other end of the pipe, which gives out the shares (see `shares.Shares`)."""

    left, waited = 0, 0.0  # the parent counts

    def __init__(self, connection: Connection) -> None:
        self._connection, self._turn = connection, threading.RLock()
        self.outcome = Outcome()

    def tell(self, what: str, *told: object) -> None:
        """Send it something that needs no answer."""
        try:
            with self._turn:
                self._send((what, told))
        except OSError:
            raise ParentGoneError from None

    def _send(self, message: object) -> None:
        try:
            self._connection.send(message)
        except KeyboardInterrupt:  # half of it may be sent: what followed would be taken for its end
            self._connection.close()
            raise

    def hear(self) -> Any:
        """Wait for what it says."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):  # also in the midst of a message
            raise ParentGoneError from None

    def take(self, limit: int) -> Share | None:
        """Ask for images."""
        self.tell("take", limit)
        share: Share | None = self.hear()
        return share

    def release(self, claim: str) -> None:
        """Tell that a share is done, and all that is done so far: this process may be killed."""
        with contextlib.suppress(ParentGoneError):  # what is still to be stored comes first
            self.tell("release", claim, self.outcome)

    def go_on(self) -> bool:
        """Wait until there is more to do, or nothing."""
        self.tell("idle")
        return bool(self.hear())


class _Telling(logging.Handler):
    """What is logged here is logged by the parent."""

    def __init__(self, parent: Parent) -> None:
        super().__init__()
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        self._parent.tell("log", record.levelno, record.getMessage())


def _compute(parent: Parent) -> Outcome:
    asked: Assignment = parent.hear()

    def load() -> Network:
        network = asked.work.load_network(asked.device)
        parent.tell("begun", network.device_kind, network.device)
        parent.hear()  # it may be of a kind that is refused
        return network

    signal.signal(signal.SIGTERM, _stop)
    work = dataclasses.replace(asked.work, load_network=load)
    with RowCache(work.caches[0], work.caches[1:]).writer(claims=False) as writer:
        stored = rows_of(writer, asked.images, work)
        run = Run(writer, asked.images, work, stored, parent, asked.most)
        parent.outcome = run.outcome
        run.go(lambda images: parent.tell("computed", images))
    return run.outcome


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is computed is now stored
    raise KeyboardInterrupt


def _portable(error: Exception) -> Exception:
    """The error as its parent can raise it, with the traceback of here for where that is shown."""
    told = traceback.format_exc()
    try:
        sent: Exception = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(sent, UserError):
        sent.add_note(told)
    return sent


def _main(pipe: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent tells it
    parent = Parent(Connection(pipe))
    logger = logging.getLogger("pool5")
    logger.addHandler(_Telling(parent))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        try:
            parent.tell("end", _compute(parent))
        except ParentGoneError:
            raise
        except Exception as error:
            if has_failed(error):  # the others may go on
                parent.tell("log", logging.WARNING, str(error).splitlines()[0])
                raise ParentGoneError from error
            parent.tell("error", _portable(error))
    except (ParentGoneError, KeyboardInterrupt):
        sys.exit(1)


if __name__ == "__main__":
    _main(int(sys.argv[1]))

"""A process that makes vectors: questions in, vectors or refusals out.

Started by `vector_process.py` as `python -m pool5.questions.vector_worker`, so that what asks needs no torch,
and lives when this dies of an image or of memory. It ends when its parent does, however that happens.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np

from ..errors import UserError
from ..project import Project
from .open_models import Asked, OpenModels

_TOGETHER = 16  # questions: of as many images a batch is made anyway
_log = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True):
    """A question to the process; the answer bears its number."""

    number: int
    asked: Asked


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Vectors, or why there are none."""

    number: int
    shape: tuple[int, ...] = ()
    dtype: str = ""
    values: bytes = b""
    problem: str = ""
    rerun: str | None = None
    force: bool = False

    @classmethod
    def of(cls, number: int, found: np.ndarray | UserError) -> Reply:
        """What is sent of what was found."""
        if isinstance(found, UserError):
            return cls(number, problem=str(found), rerun=found.rerun, force=found.force)
        return cls(number, found.shape, found.dtype.str, found.tobytes())

    @property
    def found(self) -> np.ndarray | UserError:
        """What was found."""
        if self.problem:
            return UserError(self.problem, rerun=self.rerun, force=self.force)
        return np.frombuffer(self.values, self.dtype).reshape(self.shape)


def _main(pipe: int, root: str, pixels: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent tells it
    connection = Connection(pipe)
    models = OpenModels(Project(Path(root)), pixels)
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_hear, args=(connection, waiting), daemon=True).start()
    with contextlib.suppress(ModuleNotFoundError):  # whoever asks is told
        from ..extract import embed  # noqa: F401 - PyTorch, for which the first question then waits less
    while True:
        together = [waiting.get()]
        while len(together) < _TOGETHER and not waiting.empty():
            together.append(waiting.get())
        found = _found(models, [request.asked for request in together])
        for request, each in zip(together, found, strict=True):
            connection.send_bytes(msgspec.msgpack.encode(Reply.of(request.number, each)))


def _hear(connection: Connection, waiting: queue.SimpleQueue[Request]) -> None:
    try:
        decoder = msgspec.msgpack.Decoder(Request)
        while True:
            waiting.put(decoder.decode(connection.recv_bytes()))
    except (EOFError, OSError):
        os._exit(0)  # what is at work is for nobody
    except Exception:  # whatever it is, nobody shall wait for a process that is deaf
        _log.exception("a question that cannot be read")
        os._exit(1)


def _found(models: OpenModels, asked: Sequence[Asked]) -> list[np.ndarray | UserError]:
    try:
        return models.vectors_of_each(asked)
    except Exception as error:  # a network may be the user's own, with any mistake in it
        if len(asked) > 1:
            return [found for each in asked for found in _found(models, [each])]
        if isinstance(error, UserError):
            return [error]
        if isinstance(error, ModuleNotFoundError):
            return [UserError(f"{error.name} is not installed; run pip install 'pool5[pipeline]'")]
        _log.exception("no vectors of %s", asked[0].space.reference)
        told = (
            f"no vectors of {asked[0].space.reference}: {type(error).__name__}, told where the service runs"
        )
        return [UserError(told)]


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""Vectors of images and words from another process, which may die without this one."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np

from ..errors import UserError
from ..params import Params
from ..project import Project
from ..store.feature_file import FeatureFile
from .open_models import Asked, Picture
from .space import Space
from .vector_worker import Reply, Request


class Unavailable(UserError):  # noqa: N818 - as HTTP calls it
    """There are no vectors now; ask again in `retry_after` seconds."""

    def __init__(self, problem: str, retry_after: float) -> None:
        super().__init__(f"{problem}; ask again in {retry_after:g} s")
        self.retry_after = retry_after


class VectorProcess:
    """A process with PyTorch, started at the first question and again when it has died.

    It may be asked from many threads, which wait for their answers. Of the images that wait, those that go
    through the same network go together.

    Parameters
    ----------
    project : Project
    pixels : int
        The most that an image may have.
    seconds : float
        That an answer may take; then the process is ended.
    most : int
        Questions that may wait.
    """

    def __init__(
        self, project: Project, *, pixels: int = 100_000_000, seconds: float = 120, most: int = 64
    ) -> None:
        self._project, self._pixels, self._seconds, self._most = project, pixels, seconds, most
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The id of the process; None where there is none."""
        child = self._child
        return child.process.pid if child is not None and child.lives else None

    def embedder(self, params: Params) -> Vectors:
        """What makes vectors by the networks that `params` name."""
        return Vectors(params, self)

    def ask(self, asked: Asked) -> np.ndarray:
        """As `OpenModels.vectors`.

        Raises
        ------
        Unavailable
            If too many wait, the process has died of this question or beside it, or takes too long.
        UserError
            As `OpenModels.vectors`.
        """
        with self._lock:
            child = self._living()
            if len(child.waiting) >= self._most:
                raise Unavailable(f"{self._most} questions wait for a network", 1)
            answer = child.ask(asked)
        try:
            found = answer.result(self._seconds)
        except TimeoutError:
            child.end()
            raise Unavailable(f"the network took longer than {self._seconds:g} s", self._seconds) from None
        if isinstance(found, UserError):
            raise found
        return found

    def start(self) -> None:
        """Start the process now, so that the first question does not wait for it."""
        with self._lock:
            self._living()

    def stop(self) -> None:
        """End it; a further question starts another."""
        with self._lock:
            if self._child is not None:
                self._child.end()
            self._child = None

    def _living(self) -> _Child:
        if self._child is None or not self._child.lives:
            self._child = _Child(self._project, self._pixels)
            self.starts += 1
        return self._child


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Makes them in the process; see `Embedder`."""

    params: Params
    process: VectorProcess

    def images(self, images: Sequence[Path | bytes], features: FeatureFile, layer: str) -> np.ndarray:
        """As `Embedder.images`."""
        pictures = tuple(map(Picture.of, images))
        return self.process.ask(Asked(Space.of(features, layer), self.params, images=pictures))

    def words(self, texts: Sequence[str], features: FeatureFile, layer: str) -> np.ndarray:
        """As `Embedder.words`."""
        return self.process.ask(Asked(Space.of(features, layer), self.params, texts=tuple(texts)))


class _Child:
    """One life of the process."""

    def __init__(self, project: Project, pixels: int) -> None:
        ours, theirs = socket.socketpair()
        arguments = [str(theirs.fileno()), str(project.root), str(pixels)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pool5.questions.vector_worker", *arguments],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        self._connection = Connection(ours.detach())
        self._numbers = itertools.count()
        self.waiting: dict[int, Future[np.ndarray | UserError]] = {}
        self.lives = True
        threading.Thread(target=self._hear, name="vectors", daemon=True).start()

    def ask(self, asked: Asked) -> Future[np.ndarray | UserError]:
        """Send a question; one at a time."""
        number, answer = next(self._numbers), Future[np.ndarray | UserError]()
        self.waiting[number] = answer
        try:
            self._connection.send_bytes(msgspec.msgpack.encode(Request(number, asked)))
        except OSError:
            self._refuse_all()
        return answer

    def end(self) -> None:
        """Kill it; it has nothing to lose."""
        self.lives = False
        self.process.kill()

    def _hear(self) -> None:
        decoder = msgspec.msgpack.Decoder(Reply)
        try:
            while True:
                reply = decoder.decode(self._connection.recv_bytes())
                self.waiting.pop(reply.number).set_result(reply.found)
        except (EOFError, OSError, msgspec.MsgspecError):
            self.end()
        self.process.wait()
        self._refuse_all()

    def _refuse_all(self) -> None:
        with contextlib.suppress(KeyError):  # that there are no more
            while True:
                _, answer = self.waiting.popitem()
                answer.set_exception(Unavailable("the process that makes vectors has died", 1))

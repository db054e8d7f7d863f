"""The extractions that are at work on a row cache: what each has claimed, and which of them are alive.

    <root>/writers/<writer>/    who, claim-1, claim-2, …; a lock, or where there are none a sign of life

In a folder the kernel holds a writer's lock, and takes it away when the process dies, however it dies. A
bucket has no locks: there a writer gives a sign of life every ten seconds, and one that has given none for
a minute, by the clock of whoever looks, is dead. Two that claim at the same moment see it when they look
again: the sooner one keeps the claim, by the server's clock. What a dead writer left is swept by the next
one. Where a folder's file system has no locks, writers do not share the work: each computes all that it
lacks, and a row that is there twice does no harm.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ..errors import UserError
from ..files.locks import locked, take_lock
from .shard_store import Entry, ShardStore

_WHO, _ALIVE, _FOLDER = "who", "alive", "writers"
_SIGN_SECONDS, _DEAD_SECONDS = 10.0, 60.0


class Hold(Protocol):
    """A running extraction's place among the writers of a cache."""

    folder: str  # of its own, in the store
    is_alone: bool  # while it holds the turn

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Keep the others from claiming for a while, where there are locks."""
        ...

    def others(self) -> dict[str, dict[str, Entry]]:
        """{folder: its claims} of the other living writers."""
        ...


def join(store: ShardStore, *, claims: bool = True) -> contextlib.AbstractContextManager[Hold]:
    """Take a place among the writers of a cache; sweeps what dead ones left.

    Without `claims` this one looks at nobody else's.
    """
    return _join_folder(store, claims) if store.has_locks else _join_bucket(store, claims)


@contextlib.contextmanager
def exclusively(store: ShardStore) -> Iterator[str]:
    """Keep writers out, and give a folder for what is unfinished; `UserError` if one is at work."""
    folder = f"{_FOLDER}/{uuid.uuid4().hex}"
    if not store.has_locks:
        _refuse(store, _wait_for_signs(store), "run again when it is done")
        yield folder
        return
    with locked(_lock_of(store)) as lock:
        remedy = "run again when it is done" if lock.is_real else f"if none is, remove {store.where(_FOLDER)}"
        _refuse(store, _sweep(store), remedy)
        path = Path(store.where(folder))
        path.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(path, ignore_errors=True)


def who_is(store: ShardStore, folders: list[str]) -> str:
    """Some writers, in words."""
    names = []
    for folder in sorted(folders):
        with contextlib.suppress(FileNotFoundError):
            names.append(store.read(f"{folder}/{_WHO}", 0, 1000).decode(errors="replace"))
    return ", ".join(names) or "another run"


def _refuse(store: ShardStore, running: int, remedy: str) -> None:
    if running:
        raise UserError(f"{store.root}: {running} extraction at work on this cache; {remedy}")


def _me() -> bytes:
    return f"process {os.getpid()} on {socket.gethostname()}".encode()


class _FolderHold:
    def __init__(self, store: ShardStore, folder: str, shares: bool) -> None:
        self.folder, self.is_alone = folder, True
        self._store, self._shares = store, shares

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        with locked(_lock_of(self._store)):
            yield

    def others(self) -> dict[str, dict[str, Entry]]:
        if not self._shares:  # a dead writer's claims could not be told from a living one's
            return {}
        _sweep(self._store)
        return _claims(self._store, self.folder, self._store.folders(_FOLDER))


@contextlib.contextmanager
def _join_folder(store: ShardStore, claims: bool) -> Iterator[Hold]:
    folder = f"{_FOLDER}/{uuid.uuid4().hex}"
    path = Path(store.where(folder))
    with locked(_lock_of(store)):
        _sweep(store)
        path.mkdir()
        lock = take_lock(path / "lock")
        (path / _WHO).write_bytes(_me())
    try:
        yield _FolderHold(store, folder, claims and lock.is_real)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        lock.close()


def _lock_of(store: ShardStore) -> Path:
    writers = Path(store.where(_FOLDER))
    try:
        writers.mkdir(parents=True, exist_ok=True)
        (writers / ".lock").touch()
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        raise UserError(
            f"{store.root}: this row cache cannot be written ({error.strerror}); list it in "
            "extract.read_also and give extract.cache a folder of your own"
        ) from None
    return writers / ".lock"


def _sweep(store: ShardStore) -> int:
    """Remove the folders of dead writers; gives the number of living ones. Call it under the lock."""
    living = 0
    for name in store.folders(_FOLDER):
        folder = Path(store.where(f"{_FOLDER}/{name}"))
        try:
            lock = take_lock(folder / "lock", wait=False)
        except (BlockingIOError, PermissionError):  # at work, or of another user
            living += 1
            continue
        except FileNotFoundError:  # it has just ended
            continue
        if lock.is_real:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            living += 1
        lock.close()
    return living


def _claims(store: ShardStore, own: str, names: list[str]) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for folder in (folder for name in names if (folder := f"{_FOLDER}/{name}") != own):
        claims = {name: entry for name, entry in store.files(folder).items() if name.startswith("claim-")}
        if claims:
            found[folder] = claims
    return found


def _signs(store: ShardStore) -> dict[str, bytes]:
    """The last sign of life of each writer."""
    found = {}
    for name in store.folders(_FOLDER):
        found[name] = b""
        with contextlib.suppress(FileNotFoundError):
            found[name] = store.read(f"{_FOLDER}/{name}/{_ALIVE}", 0, 100)
    return found


def _wait_for_signs(store: ShardStore) -> int:
    """How many writers are at work: waits for a further sign of life, and sweeps those that give none."""
    first, start = _signs(store), time.monotonic()
    while first and time.monotonic() - start < _DEAD_SECONDS:
        time.sleep(_SIGN_SECONDS / 4)
        now = _signs(store)
        if any(sign != first.get(name) for name, sign in now.items()):
            return len(now)
        first = {name: sign for name, sign in first.items() if name in now}
    for name in first:
        store.remove_folder(f"{_FOLDER}/{name}")
    return 0


class _BucketHold:
    def __init__(self, store: ShardStore, folder: str, claims: bool) -> None:
        self.folder, self.is_alone = folder, False
        self._store, self._claims = store, claims
        self._seen: dict[str, tuple[bytes, float]] = {}  # each one's last sign, and when it came

    def turn(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def others(self) -> dict[str, dict[str, Entry]]:
        if not self._claims:
            return {}
        now, signs = time.monotonic(), _signs(self._store)
        self._seen = {
            name: (sign, now if sign != self._seen.get(name, (None,))[0] else self._seen[name][1])
            for name, sign in signs.items()
        }
        alive = [name for name, (_, since) in self._seen.items() if now - since < _DEAD_SECONDS]
        for name in signs.keys() - set(alive):
            self._store.remove_folder(f"{_FOLDER}/{name}")
        return _claims(self._store, self.folder, alive)


@contextlib.contextmanager
def _join_bucket(store: ShardStore, claims: bool) -> Iterator[Hold]:
    folder = f"{_FOLDER}/{uuid.uuid4().hex}"
    store.put(f"{folder}/{_WHO}", [_me()], folder)
    store.put(f"{folder}/{_ALIVE}", [b"0"], folder)
    ended = threading.Event()

    def give_signs() -> None:
        count = 0
        while not ended.wait(_SIGN_SECONDS):
            count += 1
            with contextlib.suppress(Exception):  # the server is away: the next one may get through
                store.put(f"{folder}/{_ALIVE}", [str(count).encode()], folder)

    thread = threading.Thread(target=give_signs, name="sign-of-life", daemon=True)
    thread.start()
    try:
        yield _BucketHold(store, folder, claims)
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(Exception):  # it is swept by the next one
            store.remove_folder(folder)

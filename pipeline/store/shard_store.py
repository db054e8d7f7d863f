"""Where a row cache lies: a folder, or a bucket behind fsspec. Its files are written once and never changed.

A file is whole or not there: in a folder because it is renamed into place, in a bucket because a write is.
No two writers write different bytes under one name, as a shard is named by its content, and all else lies
in a folder that only its writer writes to: so nothing has to be put on a condition, and a write whose
answer was lost may be written again.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from ..files.atomic import sync_directory
from ..files.remote import (
    READERS,
    children_of,
    is_remote,
    move_remote,
    read_remote,
    remove_remote,
    stat_remote,
    write_remote,
)
from ..files.remote_errors import EndsBefore, Unreachable

Part = bytes | memoryview
S = TypeVar("S")
T = TypeVar("T")


class Entry(NamedTuple):
    """A file in a store: its size in bytes, and when it was written or last touched, in seconds."""

    size: int
    used: float


class ShardStore(Protocol):
    """Files under names such as `rows/<feature key>/<content>.rows`."""

    has_locks: bool  # whether `Path(root)` is a folder that `flock` may be asked of
    root: str

    def where(self, name: str) -> str:
        """What a user calls the file: its path or address."""
        ...

    def files(self, folder: str) -> dict[str, Entry]:
        """The files that lie in a folder itself, by name; nothing where there is none."""
        ...

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted."""
        ...

    def stat(self, name: str) -> Entry:
        """One file; `FileNotFoundError` if it is not there."""
        ...

    def read(self, name: str, start: int, length: int) -> bytes:
        """Bytes of a file, fewer where it ends before; `FileNotFoundError` if it is not there."""
        ...

    def put(self, name: str, parts: Sequence[Part], by: str) -> None:
        """Write a file for good, whole or not at all; what is unfinished lies in the folder `by`."""
        ...

    def move(self, name: str, new: str) -> None:
        """Give a file another name; `FileNotFoundError` if it is not there."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file for good; one that is not there is no error."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with the files in it, as far as that can be done."""
        ...

    def touch(self, name: str, used: float | None = None) -> None:
        """Note that a file was used, now or at another time, where that can be noted."""
        ...


def open_store(root: Path | str) -> ShardStore:
    """The store at a path or an address."""
    return RemoteStore(str(root)) if is_remote(str(root)) else FolderStore(root)


class FolderStore:
    """A folder of this machine's, or of a shared file system."""

    has_locks = True

    def __init__(self, root: Path | str) -> None:
        self.root = os.fspath(root)

    def where(self, name: str) -> str:
        """Its path."""
        return os.path.join(self.root, name)  # noqa: PTH118

    def files(self, folder: str) -> dict[str, Entry]:
        """One look at the folder."""
        found = {}
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self.where(folder)) as all_,
        ):
            for entry in all_:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file():
                        found[entry.name] = _entry(entry.stat())
        return found

    def folders(self, folder: str) -> list[str]:
        """One look at the folder; `PermissionError` where it may not be read."""
        try:
            with os.scandir(self.where(folder)) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def stat(self, name: str) -> Entry:
        """As the file system says."""
        return _entry(Path(self.where(name)).stat())

    def read(self, name: str, start: int, length: int) -> bytes:
        """Without a buffer of Python's between."""
        with open(self.where(name), "rb", buffering=0) as file:  # noqa: PTH123
            file.seek(start)
            parts = []
            while length and (part := file.read(length)):
                parts.append(part)
                length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def put(self, name: str, parts: Sequence[Part], by: str) -> None:
        """Synced and renamed into place: when this returns, a power cut does not lose it."""
        path = Path(self.where(name))
        temporary = Path(self.where(by)) / f"{threading.get_ident()}.tmp"  # a writer's threads put at once
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            sync_directory(path.parent.parent)
        try:
            with temporary.open("wb", buffering=0) as file:
                for part in parts:
                    view = memoryview(part)
                    while view:
                        view = view[file.write(view) :]
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            error.filename = error.filename or str(path.parent)
            raise
        sync_directory(path.parent)

    def move(self, name: str, new: str) -> None:
        """Whatever was there."""
        Path(self.where(name)).replace(self.where(new))

    def remove(self, name: str) -> None:
        """Synced; a folder that is left empty goes too."""
        path = Path(self.where(name))
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            sync_directory(path.parent)
        with contextlib.suppress(OSError):
            path.parent.rmdir()

    def remove_folder(self, folder: str) -> None:
        """Its files, and then itself."""
        path = Path(self.where(folder))
        with contextlib.suppress(OSError):
            for file in path.iterdir():
                file.unlink(missing_ok=True)
            path.rmdir()

    def touch(self, name: str, used: float | None = None) -> None:
        """Set its time; of another owner's file it stays, which then looks older than it is."""
        with contextlib.suppress(OSError):
            os.utime(self.where(name), None if used is None else (used, used))


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    """That a server refuses what a row cache needs is a line that says where."""
    try:
        yield
    except (FileNotFoundError, EndsBefore):
        raise
    except OSError as error:
        raise Unreachable(
            f"{address}: {error.strerror or error}; a row cache must be listed, read and written there: see "
            "extract.cache and extract.read_also"
        ) from None


class RemoteStore:
    """A bucket, or what else fsspec can write to; every request is tried again where that may help."""

    has_locks = False

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def where(self, name: str) -> str:
        """Its address."""
        return f"{self.root}/{name}"

    def files(self, folder: str) -> dict[str, Entry]:
        """One listing."""
        with _told(self.where(folder)):
            return {name: Entry(*file) for name, file in children_of(self.where(folder)).items() if file}

    def folders(self, folder: str) -> list[str]:
        """One listing."""
        with _told(self.where(folder)):
            return sorted(name for name, file in children_of(self.where(folder)).items() if file is None)

    def stat(self, name: str) -> Entry:
        """One request."""
        with _told(self.where(name)):
            return Entry(stat_remote(self.where(name))[0], 0.0)

    def read(self, name: str, start: int, length: int) -> bytes:
        """One request; one more for the size where the file ends before."""
        if not length:
            return b""
        with _told(self.where(name)):
            try:
                return read_remote(self.where(name), (start, length))
            except EndsBefore:
                left = min(length, self.stat(name).size - start)
                return read_remote(self.where(name), (start, left)) if left > 0 else b""

    def put(self, name: str, parts: Sequence[Part], by: str) -> None:
        """One request, or several for what is large, of which the last one makes the file."""
        with _told(self.where(name)):
            write_remote(self.where(name), b"".join(parts))

    def move(self, name: str, new: str) -> None:
        """Copied by the server, and removed."""
        with _told(self.where(name)):
            move_remote(self.where(name), self.where(new))

    def remove(self, name: str) -> None:
        """One request."""
        with _told(self.where(name)):
            remove_remote(self.where(name))

    def remove_folder(self, folder: str) -> None:
        """Its files: a bucket has no folders."""
        for name in self.files(folder):
            self.remove(f"{folder}/{name}")

    def touch(self, name: str, used: float | None = None) -> None:
        """A bucket notes no use: what was written first is the least lately used."""


def in_parallel(store: ShardStore, tasks: Iterable[S], call: Callable[[S], T]) -> Iterator[T]:
    """What `call` makes of each task, in order; a few ahead, and more where each waits for a server."""
    threads, left = (2, iter(tasks)) if store.has_locks else (READERS, iter(tasks))
    with ThreadPoolExecutor(threads, "shard-store") as pool:
        ahead = collections.deque(pool.submit(call, task) for task in itertools.islice(left, 2 * threads))
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(call, task) for task in itertools.islice(left, 1))
            yield done


def _entry(found: os.stat_result) -> Entry:
    return Entry(found.st_size, found.st_mtime)

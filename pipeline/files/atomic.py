"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished"
_OURS = f".{hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()}{UNFINISHED}"
_LEFT = re.compile(rf"\..+\.[a-z0-9_]{{8}}\.[0-9a-f]{{8}}{re.escape(UNFINISHED)}")
_DAY = 86_400  # seconds
_SWEEP_SECONDS = 2.0  # a sweep is short


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success sync it and rename it to `path`.

    After an exception the temporary file is gone and `path` is as it was; what a kill left is gone when the
    next file is written in that folder. Missing folders are made. Where the disk is full it is an `OSError`
    that says so, whatever the library that wrote has made of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writing_in(path.parent):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_OURS, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException as error:
            refused = _why_refused(temporary) if getattr(error, "errno", None) is None else None
            temporary.unlink(missing_ok=True)
            if refused is None:
                raise
            raise OSError(refused.errno, refused.strerror, os.fspath(path)) from error
    sync_directory(path.parent)


def sweep_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder, unless somebody is writing there."""
    if folder.is_dir():
        with _writing_in(folder):
            pass


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def whole_folder(folder: Path | str) -> Iterator[Path]:
    """Give an empty folder beside `folder`; on success it takes its place, files and all.

    After an exception it is gone and `folder` is as it was.
    """
    folder = Path(folder)
    unfinished = folder.with_name(f".{folder.name}{UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_directory(folder.parent)


def make_folders(*folders: Path, filled: bool) -> None:
    """Make folders that a stage declares; one that stays empty says so, or DVC warns of it at every turn."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        if not filled:
            write_text(folder / "nothing.txt", "There was nothing to put here.\n")


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing_in(folder: Path) -> Iterator[None]:
    """Share the lock on a folder; who had it alone has swept it. Without locks nothing is swept."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # BlockingIOError: another is writing
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.glob(f".*{UNFINISHED}"):
                if _LEFT.fullmatch(path.name) and path.is_file() and _has_no_writer(path):
                    path.unlink()
        _share(descriptor)
        yield
    finally:
        os.close(descriptor)


def _has_no_writer(path: Path) -> bool:
    """Of an unfinished file in a folder that nobody on this machine writes in.

    On a network a lock on a folder may not hold between machines: those of others are given a day.
    """
    return path.name.endswith(_OURS) or time.time() - path.stat().st_mtime > _DAY


def _share(descriptor: int) -> None:
    until = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < until:  # who holds it longer does not sweep, and is not waited for
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return
        else:
            return


def _why_refused(path: Path) -> OSError | None:
    """Why no more can be written to a file; None if it can: PyTorch, FAISS and safetensors do not tell."""
    try:
        with path.open("ab") as file:
            file.write(bytes(1 << 20))
    except OSError as error:
        return error
    return None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current

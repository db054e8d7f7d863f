"""Locks between processes: the kernel takes one away when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

# what flock answers on file systems that have no locks (some network and FUSE mounts)
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_told: set[int] = set()  # devices
_log = logging.getLogger(__name__)


class Lock:
    """A lock on a file, held from `take_lock` until it is closed.

    Attributes
    ----------
    is_real : bool
        False where the file system has no locks: then it keeps nobody out.
    """

    def __init__(self, descriptor: int, is_real: bool) -> None:
        self._descriptor, self.is_real = descriptor, is_real

    def close(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def take_lock(path: Path, *, wait: bool = True) -> Lock:
    """Lock a file, which is made if need be.

    Raises
    ------
    BlockingIOError
        If another holds it and `wait` is false.
    OSError
        If the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            _tell_once(os.fstat(descriptor).st_dev, path.parent)
            return Lock(descriptor, is_real=False)
        os.close(descriptor)
        raise
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(descriptor, is_real=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Hold the lock on a file for a while."""
    lock = take_lock(path)
    try:
        yield lock
    finally:
        lock.close()


def _tell_once(device: int, folder: Path) -> None:
    if device not in _told:
        _told.add(device)
        _log.warning("%s: its file system has no locks; two runs at once may compute the same twice", folder)

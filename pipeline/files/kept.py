"""What a run keeps for the next one, so that a file that has not changed is not read again.

What is kept stands in a file behind the SHA-256 of it. It is never needed: one that is missing or damaged is
as if there was none, and one that cannot be written costs the next run its time.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from .atomic import atomic_write

_RACY = 2 * 10**9  # ns; the times of no file system are coarser
_SEAL = 32  # bytes at the file's beginning: the SHA-256 of the others
_log = logging.getLogger(__name__)


def keep(file: Path, data: bytes | memoryview, what: str) -> None:
    """Write a file, whole or not at all; where that fails it is told that `what` is read again."""
    try:
        with atomic_write(file) as temporary, temporary.open("wb") as target:
            target.write(hashlib.sha256(data).digest())
            target.write(data)
    except OSError as error:
        _log.warning("%s: cannot be written (%s); %s read again next time", file, error.strerror, what)


def read_kept(file: Path) -> memoryview | None:
    """What `keep` has written; None where there is no such file, or a damaged one."""
    try:
        content = memoryview(file.read_bytes())
    except OSError:
        return None
    data = content[_SEAL:]
    return data if hashlib.sha256(data).digest() == content[:_SEAL] else None


def is_settled(stamp: tuple[int | str, ...] | None, now: int) -> bool:
    """Whether the stamp that a file has `now`, in ns, tells of any later change (see `datasets.tree.Tree`).

    A file that is young may be written once more within the tick of its times (git,
    Documentation/technical/racy-git); an etag is another one at once.
    """
    return stamp is not None and all(isinstance(part, str) or part < now - _RACY for part in stamp[1:3])

"""The memory that images may take, and why one gives no pixels."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import math
from pathlib import Path

from ..errors import UserError


class UnreadableImage(UserError):  # noqa: N818
    """A file that gives no image; `reason` says why, without the file's name."""

    remedy = "replace or remove it, or set extract.on_bad_image: skip"

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}; {self.remedy}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(
        self,
    ) -> tuple[
        type[UnreadableImage], tuple[str, str]
    ]:  # it travels from the process that decodes to the one that tells
        return type(self), (self.path, self.reason)


class TooLarge(UnreadableImage):
    """An image that takes more memory than it may; never skipped, as memory decides no value."""

    remedy = "raise extract.memory_gb, make it smaller or remove it"


class Turn:
    """Held by one of the processes that share a file; given back when it ends, however that happens."""

    def __init__(self, file: int) -> None:
        self._file = file

    def __enter__(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)


@dataclasses.dataclass(frozen=True)
class Budget:
    """The memory that decoding may take.

    Attributes
    ----------
    gb : float
        For one image; what takes more is refused.
    share : float
        GB that this process may take at any time; for more it waits for its turn.
    turn : context manager, optional
        That one process at a time can hold.
    """

    gb: float = math.inf
    share: float = math.inf
    turn: contextlib.AbstractContextManager[object] | None = None

    def take(self, gb: float, path: Path | str) -> contextlib.AbstractContextManager[object]:
        """What to hold while `gb` are taken; `TooLarge` if they may not be."""
        if gb > self.gb:
            raise TooLarge(
                path, f"takes {gb:.1f} GB to decode, more than the {self.gb:g} of extract.memory_gb"
            )
        return self.turn if self.turn and gb > self.share else contextlib.nullcontext()


ANY_MEMORY = Budget()  # an image of a data set has passed the check, whose limit was the user's

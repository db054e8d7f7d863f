"""Which images a run computes next: those that lack a row, some at a time, that nobody else is at."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple, Protocol

import numpy as np

from ..store.row_cache import CacheWriter
from .stored_rows import Stored, lacking

_WAIT_SECONDS, _LONGEST_WAIT = 0.2, 2.0  # in a bucket each look costs requests
_WAITS_TO_TELL = 25
_log = logging.getLogger(__name__)


class Share(NamedTuple):
    """Images that are claimed: the claim, and their (n,) int64 numbers."""

    claim: str
    numbers: np.ndarray


class Shares(Protocol):
    """Where a run gets its images from.

    It takes shares until there is none, stores what it has, and asks whether to `go_on`: others that were at
    the rest may have left it. `left` is how many images these were at when the last share was asked for, and
    `waited` the seconds that were spent waiting for them.
    """

    left: int
    waited: float

    def take(self, limit: int) -> Share | None:
        """Images to compute, at most so many; None if there are none now."""
        ...

    def release(self, claim: str) -> None:
        """The images of a claim are stored, or give no pixels."""
        ...

    def go_on(self) -> bool:
        """Whether to take again, for which this may wait."""
        ...


class Missing:
    """What the cache lacks, see `Shares`; claims keep other runs from computing the same.

    Parameters
    ----------
    writer : CacheWriter
    stored : {layer: StoredRows}
        Refreshed on the way.
    digests : (N, 16) uint8
    waits : bool
        For what others have in hand; otherwise that is left to them.
    """

    def __init__(self, writer: CacheWriter, stored: Stored, digests: np.ndarray, waits: bool = True) -> None:
        self.left, self.waited = 0, 0.0
        self.pending = lacking(stored, digests)
        self._writer, self._stored, self._digests, self._waits = writer, stored, digests, waits
        self._looks = 0

    def take(self, limit: int) -> Share | None:
        """Images that nobody is at."""
        self.left = 0
        if not len(self.pending):
            return None
        digests = self._digests[self.pending]
        claim, taken, self.left = self._writer.claim(self._stored, digests, limit)
        if claim is None:
            return None
        numbers = self.pending[taken]
        self.pending = np.delete(self.pending, taken)
        return Share(claim, numbers)

    def release(self, claim: str) -> None:
        """Give up a claim."""
        self._writer.release(claim)

    def give_back(self, share: Share) -> None:
        """Whoever was at these images is not: what is not stored of them may be taken again."""
        self.release(share.claim)
        self.pending = np.union1d(self.pending, share.numbers)

    def count_stored(self, numbers: np.ndarray) -> int:
        """How many of these images have all rows by now."""
        for rows in self._stored.values():
            rows.refresh()
        return len(numbers) - len(lacking(self._stored, self._digests[numbers]))

    def go_on(self) -> bool:
        """Wait a little for what other runs have claimed; after some time, say for whom."""
        if not self.left or not self._waits:
            return False
        self._looks += 1
        if self._looks == _WAITS_TO_TELL:
            who = self._writer.who_is_at_work()
            _log.warning("waiting for %d images that are claimed by %s (end it if it hangs)", self.left, who)
        seconds = min(_WAIT_SECONDS * max(self._looks / 10, 1), _LONGEST_WAIT)
        time.sleep(seconds)
        self.waited += seconds
        return True

"""Remote images on their way while others are decoded: one at a time, each would wait for the network."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from ..files.remote import READERS, is_remote
from ..machine import cores
from .address import Address
from .budget import ANY_MEMORY, Budget, TooLarge
from .image_bytes import read_bytes
from .image_parts import whole_image

_SMALL = Budget(0.016)  # GB of an image that is read before its turn; a process has some of them at hand


class ReadAhead:
    """The bytes of images, which are asked for in the order in which they were expected.

    Remote ones are read by some threads as soon as they are expected, at most so many as there are threads;
    a large one, as one on this machine, when it is asked for.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._last: Address | None = None
        self._expected: collections.deque[Address] = collections.deque()
        self._coming: collections.deque[tuple[Address, Future[bytes]]] = collections.deque()

    def expect(self, addresses: Iterable[Address]) -> None:
        """Begin to read what will be asked for next, for parts of an image that follow each other once."""
        for address in map(whole_image, addresses):
            if address != self._last and _is_far(address):
                self._expected.append(address)
            self._last = address
        self._begin()

    def read(self, address: Address, budget: Budget = ANY_MEMORY) -> bytes:
        """As `read_bytes`, of a whole image."""
        if all(address != coming for coming, _ in self._coming):
            return read_bytes(address, budget)
        while (first := self._coming.popleft())[0] != address:  # that one was not asked for
            pass
        self._begin()
        try:
            return first[1].result()
        except TooLarge:
            return read_bytes(address, budget)

    def close(self) -> None:
        """Read no further what is expected."""
        self._expected.clear()
        self._coming.clear()
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _begin(self) -> None:
        while self._expected and len(self._coming) < READERS:
            self._pool = self._pool or ThreadPoolExecutor(READERS, thread_name_prefix="read-ahead")
            address = self._expected.popleft()
            self._coming.append((address, self._pool.submit(read_bytes, address, _SMALL)))


def threads_for(addresses: Iterable[Address]) -> int:
    """How many threads read and decode images: one a core, and more where they wait for the network."""
    return max(cores(), READERS) if any(map(_is_far, addresses)) else cores()


def _is_far(address: Address) -> bool:
    """Whether waiting is most of reading it; rows of a Parquet file come by the megabyte."""
    return is_remote(address.file) and (not address.member or address.span is not None)

"""Bodies of requests: read in a bounded time, into bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from .limits import Limits
from .problems import Problem


class Bodies:
    """The bodies that are in memory at the moment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken = 0

    @contextlib.asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """A request's body; its memory counts as taken until the end.

        Raises
        ------
        Problem
            If it is too long or too slow, or too many others are there.
        """
        told = request.headers.get("content-length", "0")
        self._check(int(told) if told.isascii() and told.isdigit() else 0)
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    async for part in request.stream():
                        self._taken += len(part)
                        body += part
                        self._check(len(body))
            except ClientDisconnect:  # nobody hears this; it is no failure of the service's
                raise Problem(400, "the body broke off") from None
            except TimeoutError:
                seconds = f"{self._limits.body_seconds:g}"
                raise Problem(408, f"the body did not arrive within {seconds} seconds") from None
            yield bytes(body)
        finally:
            self._taken -= len(body)

    def _check(self, length: int) -> None:
        if length > self._limits.body_bytes:
            raise Problem(413, f"the body is longer than {self._limits.body_bytes} bytes; send less")
        if self._taken > self._limits.bodies_bytes:
            raise Problem(503, "too many bodies at once; ask again", {"Retry-After": "2"})

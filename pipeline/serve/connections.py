"""Connections that do not keep the service waiting: who sends or reads nothing for long is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 20.0  # in which the head of a request has to come, and a part of an answer has to be read


class Connection(H11Protocol):
    """One connection of HTTP/1.1, looked at every `SECONDS`.

    uvicorn bounds the time between two requests, but neither that of a request's head nor that of an answer;
    the time of a body is bounded where it is read.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(SECONDS, self._look, self._stands())

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _stands(self) -> tuple[Any, int]:
        """What changes while a client does its part: which request is in work, and what is left to send."""
        return self.cycle, self.transport.get_write_buffer_size()

    def _look(self, before: tuple[Any, int]) -> None:
        now = self._stands()
        waits = self.cycle is None or self.cycle.response_complete or now[1] > 0
        if waits and now == before:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(SECONDS, self._look, now)

"""What the routes share."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import anyio
from starlette.requests import Request

from ..questions.open_store import OpenStore
from .batching import Batches
from .bodies import Bodies
from .images import StoredImages
from .limits import Limits
from .live_store import LiveStore
from .maps import Maps
from .metrics import Metrics
from .problems import Problem


@dataclasses.dataclass
class Service:
    """What the routes share: `request.app.state.service`."""

    live: LiveStore
    limits: Limits
    answers: Batches
    images: StoredImages
    maps: Maps
    bodies: Bodies
    metrics: Metrics
    # a picture is decoded on a thread; so many at a time, as each may take much memory
    pictures: anyio.CapacityLimiter = dataclasses.field(default_factory=lambda: anyio.CapacityLimiter(2))
    threads: anyio.CapacityLimiter = dataclasses.field(default_factory=lambda: anyio.CapacityLimiter(8))
    waiting: int = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for an answer among the others; `Problem` 503 if there are too many."""
        if self.waiting >= self.limits.waiting:
            told = f"{self.waiting} questions are waiting already; ask again"
            raise Problem(503, told, {"Retry-After": "1"})
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1


class Asking:
    """A request, and the one state of the store that it is answered from."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.service: Service = request.app.state.service
        self.store: OpenStore = self.service.live.store()

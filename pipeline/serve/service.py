"""What the routes share."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from fastapi import Depends, Request

from ..questions.open_store import OpenStore
from .asking import Answers
from .images import StoredImages
from .limits import Limits
from .live_store import LiveStore


@dataclasses.dataclass(frozen=True)
class Service:
    """What the routes share: `request.app.state.service`."""

    live: LiveStore
    limits: Limits
    answers: Answers
    images: StoredImages


async def service_of(request: Request) -> Service:
    """The service that a request is put to."""
    service: Service = request.app.state.service
    return service


async def store_of(request: Request) -> OpenStore:
    """The one state of the store that a request is answered from."""
    service: Service = request.app.state.service
    return service.live.store()


Shared = Annotated[Service, Depends(service_of)]
Store = Annotated[OpenStore, Depends(store_of)]

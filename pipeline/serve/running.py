"""The application in a running server."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import resource
import socket

import uvicorn
from starlette.types import ASGIApp

from .connections import Connection

_SHUTDOWN = 5  # seconds for what is being answered when the service is ended
# glibc's mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX
_MALLOC = {-1: 1 << 20, -3: 1 << 20, -8: 2}


def run(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being answered then is finished."""
    _allow_connections()
    _give_memory_back()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # not a line for what is no HTTP
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # what somebody asks is nobody's business
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _allow_connections() -> None:
    """As many open files as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _give_memory_back() -> None:
    """See to it that what large bodies took goes back to the system; glibc would keep it for others."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in _MALLOC.items():
            mallopt(name, value)

"""A connection to a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

import ray

from .errors import UserError
from .machine import cores

_STORE_BYTES = 128 << 20  # of a cluster of this machine: only a network and lists of images go through it
_CONNECT_SECONDS = 10.0
_HOST = re.compile(r"([^/:]+):(\d+)")
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns that this will come
    "RAY_worker_niceness": "0",  # as without Ray; it would be 15, last of all that run on this machine
}


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """A connection to the cluster at RAY_ADDRESS, or to one of this machine that ends with it."""
    if ray.is_initialized():
        yield
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {
        "num_cpus": cores(),
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }
    try:
        if found := _HOST.fullmatch(address):  # ray itself asks for a minute
            socket.create_connection((found[1], int(found[2])), _CONNECT_SECONDS).close()
        ray.init(
            address, log_to_driver=False, logging_level=logging.ERROR, **(own if address == "local" else {})
        )
    except Exception as error:  # no less: that is what ray raises where a cluster does not start in time
        told = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise UserError(f"no connection to the Ray cluster at {address}: {told}; see RAY_ADDRESS") from None
    try:
        yield
    finally:
        ray.shutdown()

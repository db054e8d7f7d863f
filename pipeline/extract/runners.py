"""Who computes what the row cache lacks: the devices of this machine, or the machines of a cluster.

A runner brings the cache to hold a row of every layer for every image, as `extractor.compute_missing` says,
and gives the rows that are there with what was done. Which one it is decides no value. A further one is a
function in a file of its own and a line here.
"""

from __future__ import annotations

import importlib
from typing import Protocol

from ..errors import UserError
from ..params import Extract
from ..store.row_cache import CacheWriter
from .stored_rows import Stored
from .work import ImageFiles, Outcome, Work


class Runner(Protocol):
    """See `extractor.compute_missing`, which is one."""

    def __call__(self, writer: CacheWriter, images: ImageFiles, work: Work) -> tuple[Stored, Outcome]:
        """Compute what is missing."""
        ...


_RUNNERS = {
    "local": "device_processes:compute_locally",
    "ray": "ray_runner:compute_through_ray",
}


def runner_of(extract: Extract) -> Runner:
    """The one that `extract.runner` names; imported when it is asked for."""
    name, _, function = _RUNNERS[extract.runner].partition(":")
    try:
        module = importlib.import_module(f".{name}", __package__)
    except ModuleNotFoundError as error:
        if error.name != extract.runner:
            raise
        told = f"extract.runner: {extract.runner}: it is not installed"
        raise UserError(f"{told}; run pip install 'pool5[{extract.runner}]'") from None
    runner: Runner = getattr(module, function)
    return runner

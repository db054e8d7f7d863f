"""What runs on a machine of a Ray cluster: it computes units of images into the shared row cache."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from importlib.metadata import version
from typing import Any

import msgspec

from .. import __version__
from ..errors import UserError
from ..store.row_cache import RowCache
from .extractor import compute_missing
from .keys import RECIPE_VERSION
from .work import ImageFiles, Outcome, Work


def versions() -> dict[str, str]:
    """What must be the same on all machines, as it decides values."""
    return {"pool5": __version__, "its recipe": str(RECIPE_VERSION), "torch": version("torch")}


class Worker:
    """An actor: it begins once, computes units one after the other, and ends."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()

    def begin(self, expected: dict[str, str], work: list[Any], folder: str, cpus: int) -> str:
        """Load the network.

        Parameters
        ----------
        expected : {name: version}
            The driver's `versions`.
        work : list with an ObjectRef of Work
        folder : str
            The driver's working folder if a path is relative to it, else ''.
        cpus : int
            How many this worker has.

        Returns
        -------
        str
            The kind of its device.

        Raises
        ------
        UserError
            If versions differ, or the folder is not there.
        """
        import ray

        here = socket.gethostname()
        for name, found in versions().items():
            if found != expected.get(name):
                raise UserError(f"{name} is {found} on {here}, not {expected.get(name)}; install the same")
        if folder and not os.path.isdir(folder):  # noqa: PTH112
            raise UserError(
                f"{folder}: not on {here}; share the project's folder with it, or give dataset.root and "
                "extract.cache as absolute paths that are shared, or as s3://…"
            )
        if folder:
            os.chdir(folder)
        asked: Work = ray.get(work[0])
        network = asked.load_network()
        workers = min(max(cpus, 1), 32) if asked.extract.workers == "auto" else asked.extract.workers
        # of which kinds of device the rows may be is the driver's to say, who sees all of them
        extract = msgspec.structs.replace(asked.extract, workers=workers, mixed=True)
        self._work = dataclasses.replace(asked, extract=extract, load_network=lambda: network)
        self._writer = self._held.enter_context(RowCache(asked.caches[0], asked.caches[1:]).writer())
        return network.device_kind

    def compute(self, images: ImageFiles) -> Outcome:
        """Compute what is missing of a unit, but for what other runs are at."""
        _, outcome = compute_missing(self._writer, images, self._work, waits=False)
        return outcome

    def end(self) -> None:
        """Leave the row cache."""
        self._held.close()

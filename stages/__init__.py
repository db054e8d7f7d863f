"""One thin script a DVC stage: params in, the library called, a record and its renderings out."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable

from ..telling import stop_at_once, told_in_one_line

# as DVC calls it: what is imported next, here and by the stage, takes seconds, and is not in `run` yet
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, stop_at_once)

from ..cli.upkeep import check_recipes
from ..errors import UserError
from ..params.recipes import read_recipes
from ..project import Project
from ..store.unit_cache import UnitCache


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main`, with the model of `stage@model` as DVC calls it, or of the command line."""
    with told_in_one_line():
        wanted = list(inspect.signature(main).parameters)
        _, at, item = os.environ.get("DVC_STAGE", "").rpartition("@")
        given = sys.argv[1:] or [item] * bool(at)
        if len(given) != len(wanted):
            spec = sys.modules["__main__"].__spec__
            usage = " ".join(["python -m", spec.name if spec else sys.argv[0], *map(str.upper, wanted)])
            raise UserError(f"usage: {usage}; `dvc repro` calls it")
        check_recipes(Project())
        main(*given)


def unit_cache(project: Project, stage: str) -> UnitCache:
    """What the stage has made of each layer, under the recipe version that it has now."""
    return UnitCache(project.unit_cache, stage, read_recipes(project.recipes)[stage].version)

"""One thin script a DVC stage: params in, the library called, a record and its renderings out."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

from ..cli.telling import told_in_one_line
from ..cli.upkeep import check_recipes
from ..errors import UserError
from ..params.recipes import read_recipes
from ..project import Project
from ..store.unit_cache import UnitCache


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main` with the arguments of the command line."""
    with told_in_one_line():
        wanted, given = list(inspect.signature(main).parameters), sys.argv[1:]
        if len(given) != len(wanted):
            spec = sys.modules["__main__"].__spec__
            usage = " ".join(["python -m", spec.name if spec else sys.argv[0], *map(str.upper, wanted)])
            raise UserError(f"usage: {usage}; `dvc repro` calls it")
        check_recipes(Project())
        main(*given)


def unit_cache(project: Project, stage: str) -> UnitCache:
    """What the stage has made of each layer, under the recipe version that it has now."""
    return UnitCache(project.unit_cache, stage, read_recipes(project.recipes)[stage].version)

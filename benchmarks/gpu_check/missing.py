"""What is not installed, by what an import said."""

from __future__ import annotations

import importlib.util
import re

_SAID = re.compile(r"No module named '(\w+)|^pool5: (?:.*: )?(\w+) is not installed", re.MULTILINE)


def is_missing(module: str | None) -> bool:
    """Whether the package of that module is not there, as opposed to a module of one that is."""
    return module is not None and importlib.util.find_spec(module.partition(".")[0]) is None


def missing_package(said: str) -> str | None:
    """The package that a program stopped for, if that is what it said last."""
    names = [one or other for one, other in _SAID.findall(said)]
    return next((name for name in reversed(names) if is_missing(name)), None)

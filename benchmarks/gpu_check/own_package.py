"""A `pool5` to import where pip has not installed it: links in a folder, as pyproject.toml maps them."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment_with_pool5(folder: Path) -> dict[str, str]:
    """An environment in which every Python finds this checkout's package; `folder` is for the links."""
    environment = dict(os.environ)
    if _is_here():
        return environment
    package = folder / "pool5"
    package.mkdir(parents=True)
    for source in [*(ROOT / "pipeline").iterdir(), ROOT / "stages", ROOT / "presets"]:
        if source.name != "__pycache__":
            (package / source.name).symlink_to(source)
    paths = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(paths)}


def _is_here() -> bool:
    """Whether `import pool5` gives this checkout; another copy of it would prove nothing."""
    found = importlib.util.find_spec("pool5")
    return found is not None and Path(found.origin or "/").resolve().is_relative_to(ROOT / "pipeline")

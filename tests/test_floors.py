"""The floors of the design: a module imports only from below, and what must not know torch does not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[1] / "pipeline"

FLOORS = [
    {"params", "errors", "atomic_write", "progress", "host_memory"},
    {"store", "datasets", "models"},
    {"search", "extract", "training"},
    {"analysis", "probe"},
    {"report", "figures"},
    {"cli", "__main__"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
NO_TORCH = ["store", "search", "analysis", "probe", "figures", "report", "cli", "params", "datasets"]


def imports_of(path: Path) -> set[str]:
    """The first-level parts of pipeline that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("pipeline.")}
    return found & set(FLOOR_OF)


def files() -> list[Path]:
    return [
        path for path in sorted(PIPELINE.rglob("*.py")) if path.parent != PIPELINE or path.stem in FLOOR_OF
    ]


def part_of(path: Path) -> str:
    return path.relative_to(PIPELINE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PIPELINE)))
def test_a_module_imports_only_from_its_own_floor_or_below(path):
    floor = FLOOR_OF[part_of(path)]
    above = {name for name in imports_of(path) if FLOOR_OF[name] > floor}
    assert not above, f"{path.name} reaches up to {sorted(above)}"


@pytest.mark.parametrize("part", NO_TORCH)
def test_importing_a_part_that_must_be_quick_imports_no_torch(part):
    modules = [
        ".".join(path.relative_to(PIPELINE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in files()
        if part_of(path) == part
    ]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

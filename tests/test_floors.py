"""What must answer at once imports no torch. The floors themselves are in .importlinter, for `make lint`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[1] / "pipeline"
QUICK = [
    "analysis",
    "cli",
    "datasets",
    "figures",
    "files",
    "measures",
    "params",
    "probe",
    "questions",
    "report",
    "results",
    "search",
    "serve",
    "store",
]


@pytest.mark.parametrize("room", QUICK)
def test_importing_a_room_that_must_be_quick_imports_no_torch(room):
    modules = [
        ".".join(["pool5", *path.relative_to(PIPELINE).with_suffix("").parts]).removesuffix(".__init__")
        for path in sorted((PIPELINE / room).rglob("*.py"))
    ]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_itself_imports_no_torch():
    code = "import sys, pool5; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

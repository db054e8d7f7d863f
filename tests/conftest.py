"""What several tests stand on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# tests run beside each other on few cores, and their results must not depend on how many there are
os.environ.setdefault("OMP_NUM_THREADS", "2")
# threads that wait for each other by spinning make small networks twenty times slower on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs and weights beside the project; without it, the test is skipped."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(
            f"the real photographs and weights are not here: no folder {folder.name} beside the project"
        )
    return folder

"""The Makefile, read by make itself and not run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from project import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def planned(folder: Path) -> list[str]:
    done = subprocess.run(
        ["make", "--dry-run", "setup"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_project_folder_that_was_renamed_gets_a_new_environment(tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, before)
    (ready,) = [line.split()[1] for line in planned(before) if line.startswith("touch")]
    (before / ready).parent.mkdir()
    (before / ready).touch()
    assert not any("venv" in line for line in planned(before))
    after = before.rename(tmp_path / "after")
    plan = planned(after)
    # what pip wrote into the old one holds the old path
    removed = next(n for n, line in enumerate(plan) if "rm -rf .venv" in line)
    made = next(n for n, line in enumerate(plan) if "-m venv .venv" in line)
    assert removed < made

"""`pool5 cache` refuses in one line what it cannot do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pool5(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_bytes((ROOT / "presets" / "sample.yaml").read_bytes())
    return tmp_path


def test_an_empty_cache_has_nothing_in_it(project: Path) -> None:
    told = pool5(project, "cache", "stats")
    assert told.returncode == 0
    assert "0.0 MB" in told.stdout


def test_gc_removes_nothing_while_the_keys_in_use_are_unknown(project: Path) -> None:
    told = pool5(project, "cache", "gc")
    assert told.returncode == 2
    assert "cannot be told from unused ones" in told.stderr
    assert len(told.stderr.splitlines()) == 1


def test_a_size_that_is_none_is_refused(project: Path) -> None:
    told = pool5(project, "cache", "gc", "--max-size", "12x")
    assert told.returncode == 2
    assert "--max-size: 12x is not a size" in told.stderr


def test_gc_says_what_it_removed(project: Path) -> None:
    told = pool5(project, "cache", "gc", "--max-size", "1G")
    assert told.returncode == 0
    assert told.stdout == "removed 0 shards, 0.0 MB, from .cache/features\n"

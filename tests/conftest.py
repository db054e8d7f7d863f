"""What several tests stand on."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser import browser  # noqa: F401 - fixture
from tests.servers import bucket, fresh, s3, web  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[1]

# tests run beside each other on few cores, and their results must not depend on how many there are
os.environ.setdefault("OMP_NUM_THREADS", "2")
# threads that wait for each other by spinning make small networks twenty times slower on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="store the golden values anew, of the stages whose recipe version was raised",
    )


def made_once(temporary: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one worker of pytest-xdist makes and all of them read."""
    base = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = base / f"{name}.unfinished"
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs and weights beside the project; without it, the test is skipped."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(
            f"the real photographs and weights are not here: no folder {folder.name} beside the project"
        )
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of e2e/tiny.py, every stage of it run once and audited."""

    def make(folder: Path) -> None:
        program = [sys.executable, str(ROOT / "tests/e2e/tiny.py"), str(folder)]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "log").write_text(done.stderr)

    return made_once(tmp_path_factory, "tiny", make)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of cli/small_project.py; a test that changes it works on a copy."""
    from tests.cli.small_project import make_project

    return made_once(tmp_path_factory, "project", make_project)

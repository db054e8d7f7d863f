"""The service that the page is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pool5.project import Project
from pool5.questions.open_store import OpenStore
from tests.conftest import made_once
from tests.serve.page_project import make_page_project
from tests.serve.running import Service, running


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of page_project.py."""
    return made_once(tmp_path_factory, "page", make_page_project)


@pytest.fixture(scope="session")
def page_service(page_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of it."""
    with running(page_folder, tmp_path_factory.mktemp("log") / "log") as service:
        yield service


@pytest.fixture(scope="session")
def page_store(page_folder: Path) -> OpenStore:
    """The same, asked in Python."""
    return OpenStore.open(Project(page_folder))

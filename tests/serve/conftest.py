"""The service that the page is tried on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[..., Any]]:
    """Makes a client of a service in this process, from a project's folder and what `make_app` takes."""
    testclient = pytest.importorskip("starlette.testclient", reason="starlette is not installed")
    from pool5.serve.app import make_app

    with contextlib.ExitStack() as open_:

        def make(folder: Path, **options: Any) -> Any:
            app = make_app(folder, **options)
            return open_.enter_context(testclient.TestClient(app, base_url="http://localhost"))

        yield make


@pytest.fixture(scope="session")
def client(page_folder: Path, client_of: Callable[..., Any]) -> Any:
    """A client of the page's project."""
    return client_of(page_folder)

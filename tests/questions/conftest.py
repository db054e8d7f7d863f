"""A project to ask, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pool5.project import Project
from tests.cli.words_project import make_words_project
from tests.conftest import made_once


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    return Project(made_once(tmp_path_factory, "words", lambda folder: make_words_project(folder)))


@pytest.fixture
def picture(project):
    """The bytes of an image of the data set."""

    def of(name: str) -> bytes:
        return Path(project.root, "data/raw/toy", f"{name}.png").read_bytes()

    return of

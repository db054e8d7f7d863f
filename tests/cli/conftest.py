from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.small_project import make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """The small project; a test that changes it works on a copy."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    return folder

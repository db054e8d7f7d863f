from __future__ import annotations

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def readable_by_others():
    """A folder that another user can come to, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

# the tests here share one module, and there are no packages among the tests
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def readable_by_others():
    """A folder that another user can come to, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)

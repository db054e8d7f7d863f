"""What is found in images of which nothing is known yet."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pool5.datasets.image_facts import Facts
from pool5.datasets.known_images import know_images
from pool5.datasets.roots import open_tree


def check_images(root: Path | str, paths: Sequence[str], memory_gb: float = 8) -> Facts:
    """Read and wholly decode each file."""
    with tempfile.TemporaryDirectory() as folder:
        return know_images(open_tree(str(root)), paths, Path(folder, "known"), memory_gb)

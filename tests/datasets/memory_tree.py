"""A tree that lies nowhere, as one in a bucket has no folder either."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from pool5.datasets.tree import LocalTree, Tree
from pool5.errors import UserError


class MemoryTree(Tree):
    """The files that it is given."""

    def __init__(self, content: Mapping[str, bytes], root: str = "memory") -> None:
        super().__init__(root)
        self._content = content

    @classmethod
    def of(cls, folder: Path) -> MemoryTree:
        """What is in a folder."""
        tree = LocalTree(str(folder))
        return cls({path: tree.read(path) for path in tree.files})

    @property
    def files(self) -> list[str]:
        if not self._content:
            raise UserError(f"dataset.root: {self.root}: nothing lies there")
        return sorted(self._content)

    def read(self, path: str) -> bytes:
        if path not in self._content:
            raise FileNotFoundError(path)
        return self._content[path]

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.read(path))

    def stamp(self, path: str) -> None:
        return None

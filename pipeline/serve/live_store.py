"""The store that the service answers from, as the project is now."""

from __future__ import annotations

from ..project import Project
from ..questions.embedder import Embedder
from ..questions.open_store import OpenStore


class LiveStore:
    """Gives each request one state of the project's store."""

    def __init__(self, project: Project, embedder: Embedder | None = None) -> None:
        self.project = project
        self._embedder = embedder
        self._store = OpenStore.open(project, embedder)

    def store(self) -> OpenStore:
        """The state to answer from."""
        return self._store

"""Pool5: a feature store for image datasets, run by DVC.

What is most used stands here by name, and is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .extract.embed import embed_images
    from .measures.average_precision import average_precision
    from .params import load_params
    from .project import Project
    from .questions.open_store import OpenStore
    from .search.searcher import Searcher
    from .store.feature_file import FeatureFile
    from .store.neighbor_file import NeighborFile

__version__ = "0.2.0.dev0"
__all__ = [
    "FeatureFile",
    "NeighborFile",
    "OpenStore",
    "Project",
    "Searcher",
    "average_precision",
    "embed_images",
    "load_params",
    "open",
]
_MODULE_OF = {
    "FeatureFile": ".store.feature_file",
    "NeighborFile": ".store.neighbor_file",
    "OpenStore": ".questions.open_store",
    "Project": ".project",
    "Searcher": ".search.searcher",
    "average_precision": ".measures.average_precision",
    "embed_images": ".extract.embed",
    "load_params": ".params",
}


def open(project: Project | Path | str = ".") -> OpenStore:
    """Open a project's store for questions; see `OpenStore.open`."""
    from .questions.open_store import OpenStore

    return OpenStore.open(project)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

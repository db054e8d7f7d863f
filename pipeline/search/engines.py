"""What holds an index, by the ending of its path: FAISS a file, Lance a folder."""

from __future__ import annotations

from pathlib import Path

from ..store.feature_file import FeatureFile
from .approximate_search import ApproximateSearch
from .exact import ExactSearch


def open_index(path: Path | str, features: FeatureFile, layer: str, exact: ExactSearch) -> ApproximateSearch:
    """Open the index at `path` for searching `layer` of `features`, with its recommended setting.

    Raises
    ------
    UserError
        If it is missing or damaged, or was built from other features, other images or for another metric.
    """
    if Path(path).suffix == ".lance":
        from . import lance_index

        return lance_index.open_index(path, features, layer, exact)
    from . import faiss_index  # FAISS takes half a second to import

    return faiss_index.open_index(path, features, layer, exact)

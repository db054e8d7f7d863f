"""The methods that make maps, and the maps of other starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import pacmap, pca, tsne, umap
from .method import MapMethod

METHODS: Mapping[str, MapMethod] = {
    "tsne": MapMethod("t-SNE", 4, ("openTSNE", "scikit-learn"), tsne.decided_by, tsne.lay_out),
    "pca": MapMethod("PCA", 4, ("scikit-learn",), pca.decided_by, pca.lay_out),
    "umap": MapMethod(
        "UMAP", 4, ("umap-learn", "numba", "scikit-learn"), umap.decided_by, umap.lay_out,
        install="pip install 'pool5[maps]'",
    ),
    # its own requirement is faiss-cpu, whose files would take the place of faiss-gpu's
    "pacmap": MapMethod(
        "PaCMAP", 16, ("pacmap", "numba", "scikit-learn"), pacmap.decided_by, pacmap.lay_out,
        install="pip install 'pool5[maps-cpu]', or beside faiss-gpu 'pool5[maps]' and then --no-deps pacmap",
    ),
}  # fmt: skip


def other_starts(
    method: MapMethod, features: np.ndarray, decided: Mapping[str, Any], seed: int, count: int
) -> list[np.ndarray]:
    """Maps of the same rows from `count` random starts: a second opinion on what is in the map of `seed`."""
    return [method.lay_out(features, decided, seed + 1 + i, "random").points for i in range(count)]

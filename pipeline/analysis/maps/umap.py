"""UMAP maps (McInnes, Healy and Melville 2018), by umap-learn from exact neighbors.

Its neighbors are those that every measure of a map looks at: exact and Euclidean in the whole layer, where
umap-learn searches more than 4096 rows by random trees. It starts as the t-SNE maps do, from the first two
principal components: as good a start as the graph's eigenvectors (Kobak and Linderman 2021), which differ
with the number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...params.sections import Maps
from .method import Places, Start, two_columns
from .one_thread import one_thread
from .pca import principal_components
from .tsne import centred, nearest_rows

_NEIGHBORS = 15  # and the distance that its authors begin with
_MIN_DIST = 0.1


def decided_by(settings: Maps, count: int) -> dict[str, Any]:
    """How many neighbors of an image, itself counted, and how near two may come."""
    return {"n_neighbors": min(settings.neighbors or _NEIGHBORS, max(count - 1, 2)), "min_dist": _MIN_DIST}


def lay_out(features: np.ndarray, decided: Mapping[str, Any], seed: int, start: Start) -> Places:
    """On one thread: on several, the steps of its descent come in another order at every run."""
    from umap import UMAP  # not installed everywhere, and it compiles

    rows = two_columns(centred(features))
    informed, _ = principal_components(rows, 2)
    # umap-learn scales each axis to one width, which rows on a line do not have
    informed += 1e-4 * informed[:, 0].std() * np.random.default_rng(seed).normal(size=informed.shape)
    with one_thread(), warnings.catch_warnings():
        near, distances = nearest_rows(rows, rows, decided["n_neighbors"] - 1, exclude_self=True)
        near = np.column_stack([np.arange(len(rows)), near])
        distances = np.column_stack([np.zeros(len(rows)), distances]).astype(np.float32)
        warnings.simplefilter("ignore")  # that no new points can be placed with given neighbors
        umap = UMAP(
            **decided,
            init=informed if start == "informed" else "random",
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(near, distances, None),
        )
        return Places(umap.fit_transform(rows).astype(np.float64))

"""The images whose neighborhoods differ most between two layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...measures.neighbor_overlap import shared_neighbors
from ...results.comparison import DifferingImage
from ...store.feature_file import FeatureFile
from ..layer_neighbors import LayerNeighbors
from ..retrieval import near

_IMAGES, _NEIGHBORS = 3, 4  # that are shown


def differing_images(
    features: FeatureFile, neighbors: Mapping[str, LayerNeighbors], pair: tuple[str, str], k: int
) -> tuple[DifferingImage, ...]:
    """Those that share the fewest of their k nearest, then of all neighbors that are known, then in order.

    Parameters
    ----------
    features : FeatureFile
    neighbors : {<model>/<layer>: its neighbors}
    pair : two of these layers
    k : int
    """
    a, b = (neighbors[name].rows for name in pair)
    shared = shared_neighbors(a[:, :k], b[:, :k]).sum(axis=1)
    fewest = np.flatnonzero(shared <= np.partition(shared, min(_IMAGES, len(shared)) - 1)[:_IMAGES].max())
    deep = min(a.shape[1], b.shape[1])
    of_all = shared_neighbors(a[fewest, :deep], b[fewest, :deep]).sum(axis=1)
    chosen = fewest[np.lexsort((fewest, of_all, shared[fewest]))[:_IMAGES]]
    return tuple(
        DifferingImage(
            id=str(features.ids[row]),
            labels=features.labels_of(row),
            shared=int(shared[row]),
            neighbors={
                name: near(features, neighbors[name].rows[row, :_NEIGHBORS], neighbors[name].distances[row])
                for name in pair
            },
        )
        for row in chosen
    )

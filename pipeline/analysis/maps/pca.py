"""Principal components: the map that turns and tears nothing, and the space that clusters are found in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from ...params.sections import Maps
from .method import Places, Start
from .tsne import centred


def principal_components(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first components of the rows, and the share of the variance that each holds.

    Exact, by Lanczos' iterations (ARPACK) where some of many are asked for.

    Parameters
    ----------
    features : (N, D) float array
        Not all rows the same.
    count : int
        Fewer where there are not so many.

    Returns
    -------
    (N, count) float64 and (count,) float64
    """
    rows = centred(features)
    count = min(count, *rows.shape)
    pca = PCA(count, svd_solver="arpack" if count < min(rows.shape) else "full", random_state=0)
    largest = np.abs(rows).max()  # of values of its size the squares have a place in a float
    with threadpool_limits(1):  # the same digits on any number of cores
        found = pca.fit_transform(rows / largest)
    return found.astype(np.float64) * largest, pca.explained_variance_ratio_.astype(np.float64)


def decided_by(settings: Maps, count: int) -> dict[str, Any]:
    """Nothing but the rows."""
    return {}


def lay_out(features: np.ndarray, decided: Mapping[str, Any], seed: int, start: Start) -> Places:
    """The first two components; neither a seed nor a start changes them."""
    found, shares = principal_components(features, 2)
    points = np.zeros((len(features), 2))
    points[:, : found.shape[1]] = found
    return Places(points, {"variance": float(shares.sum())})

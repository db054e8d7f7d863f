"""What "near" means: three metrics, all given as distances that grow with dissimilarity."""

from __future__ import annotations

import numpy as np

from pipeline.params import Metric

__all__ = ["Metric", "pair_distances", "squared_norms"]


def squared_norms(vectors: np.ndarray) -> np.ndarray:
    """The (n,) float64 squared Euclidean norms of (n, D) vectors."""
    exact = vectors.astype(np.float64)
    return _row_products(exact, exact)


def pair_distances(
    query: np.ndarray, vectors: np.ndarray, metric: Metric, norms: np.ndarray | None = None
) -> np.ndarray:
    """The distance of one query to each of some vectors, computed pair by pair in float64.

    A pair's distance has the same bits whichever other vectors are asked for beside it, and is exactly 0 for
    equal vectors under `cosine` and `l2`. That is what makes ties between duplicates real ties.

    Parameters
    ----------
    query : (D,) array
    vectors : (n, D) array
    metric : cosine, l2 or ip
        cosine: 1 - cos, where the cosine with a zero vector is taken as 0; l2: the Euclidean distance, not
        squared; ip: minus the inner product.
    norms : (n,) float64, optional
        `squared_norms(vectors)`, if known; only `cosine` needs them.

    Returns
    -------
    (n,) float64
    """
    point = query.astype(np.float64)
    exact = vectors.astype(np.float64)
    if metric == "l2":
        exact -= point
        return np.sqrt(_row_products(exact, exact))
    products = _row_products(exact, np.broadcast_to(point, exact.shape))
    if metric == "ip":
        return -products
    if norms is None:
        norms = _row_products(exact, exact)
    # sqrt(a * a) is a again, so that equal vectors have a cosine of exactly 1
    lengths = np.sqrt(norms * squared_norms(point[None]))
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.maximum(1.0 - cosines, 0.0)


def _row_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # not a matrix product: BLAS sums in an order that depends on how many rows there are
    return np.einsum("nd,nd->n", a, b)

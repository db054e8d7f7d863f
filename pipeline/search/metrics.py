"""What "near" means: three metrics, all given as distances that grow with dissimilarity."""

from __future__ import annotations

import math

import numpy as np

from ..params import Metric

_PIECE = 8192


def squared_norms(vectors: np.ndarray) -> np.ndarray:
    """The (n,) float64 squared Euclidean norms of (n, D) vectors."""
    exact = vectors.astype(np.float64)
    return _row_products(exact, exact)


def pair_distances(query: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
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

    Returns
    -------
    (n,) float64
    """
    norms = squared_norms(vectors) if metric == "cosine" else None
    return distances_from(query.astype(np.float64), vectors.astype(np.float64), metric, norms)


def distances_from(
    point: np.ndarray, vectors: np.ndarray, metric: Metric, norms: np.ndarray | None
) -> np.ndarray:
    """As `pair_distances`, for float64 arrays: may overwrite `vectors`; cosine needs their squared norms.

    `point` is (D,), or (n, D): one for each vector.
    """
    point = np.atleast_2d(point)
    if metric == "l2":
        vectors -= point
        lengths: np.ndarray = np.sqrt(_row_products(vectors, vectors))
        return lengths
    products = _row_products(vectors, point)
    if metric == "ip":
        np.negative(products, out=products)
        return products
    # sqrt(a * a) is a again, so that equal vectors have a cosine of exactly 1
    lengths = np.sqrt(norms * _row_products(point, point))
    cosines: np.ndarray = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    np.subtract(1.0, cosines, out=cosines)
    np.maximum(cosines, 0.0, out=cosines)
    return cosines


def score_errors(lengths: np.ndarray, longest: float, width: int, metric: Metric) -> np.ndarray:
    """How far off float32 scores may be: dot products, for `cosine` of unit rows, for `l2` minus d^2 / 2.

    Parameters
    ----------
    lengths : (n,) array
        Of the queries.
    longest : float
        The length of the longest vector that they were compared with.
    width : int
        Values of a vector.

    Returns
    -------
    (n,) array
    """
    # well above what blocked float32 summation of D products is off by (Higham 2002, 4.2)
    relative = 16 * math.sqrt(width + 16) * 2.0**-24
    if metric == "cosine":
        return np.full(len(lengths), relative, np.float32)
    errors: np.ndarray = relative * ((lengths + longest) ** 2 if metric == "l2" else lengths * longest)
    return errors


def _row_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # not a matrix product, for which BLAS sums in an order that depends on how many rows there are; and in
    # pieces, because BLAS shares a product of more than 10,000 values among its threads
    total: np.ndarray = np.vecdot(a[:, :_PIECE], b[:, :_PIECE])
    for start in range(_PIECE, a.shape[1], _PIECE):
        total += np.vecdot(a[:, start : start + _PIECE], b[:, start : start + _PIECE])
    return total

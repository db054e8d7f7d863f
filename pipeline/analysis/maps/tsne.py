"""t-SNE maps of a layer.

The practice is that of Kobak and Berens (2019, "The art of using t-SNE for single-cell transcriptomics"):
a start from the first two principal components at a standard deviation of 1e-4, a learning rate of N/12
(at least 200), early exaggeration 12 over 250 of 750 iterations, perplexity 30. The neighbors are exact and
Euclidean in the whole layer, not in its first principal components.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal

import faiss
import numpy as np
import openTSNE
from openTSNE.affinity import PerplexityBasedNN, joint_probabilities_nn
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from openTSNE.tsne import PartialTSNEEmbedding
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from ...machine import cores
from ...params.sections import Maps
from .method import Places, Start

Backend = Literal["sklearn", "opentsne"]

_SKLEARN_UP_TO = 500  # images; beyond it openTSNE is as fast or faster for the same KL
_START_SD = 1e-4
_EXAGGERATION = 12
_ITERATIONS = 750
_EXAGGERATED_ITERATIONS = 250
_LOWEST_LEARNING_RATE = 200.0
_FFT_FROM = 10_000
_THREADS_FROM = 2000  # images; below it threads gain a little on an idle machine, lose tenfold on a busy one


@dataclasses.dataclass(frozen=True)
class TsneMap:
    """A map and the divergence it was left with.

    Attributes
    ----------
    points : (N, 2) float64
    kl : float
        Kullback-Leibler divergence of the map's similarities from the layer's, in nats.
    """

    points: np.ndarray
    kl: float


def decided_by(settings: Maps, count: int) -> dict[str, Any]:
    """What `make_map` goes by where the section `tsne` says nothing."""
    return {"perplexity": min(30.0, max(count - 1, 0) / 3), "backend": "auto"}


def lay_out(features: np.ndarray, decided: Mapping[str, Any], seed: int, start: Start) -> Places:
    """`make_map` on the door of all methods."""
    made = make_map(features, **decided, seed=seed, start="pca" if start == "informed" else "random")
    return Places(made.points, {"kl": made.kl})


def draw_sample(count: int, size: int, seed: int) -> np.ndarray:
    """`size` of `count` rows, drawn without replacement, in increasing order; all rows if there are fewer."""
    if size >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))


def choose_backend(count: int, backend: str) -> tuple[Backend, str]:
    """The library that makes a map of `count` images, and a sentence that says why."""
    if backend == "sklearn":
        return "sklearn", "scikit-learn, as set"
    if backend == "opentsne":
        return "opentsne", "openTSNE, as set"
    if count <= _SKLEARN_UP_TO:
        return "sklearn", f"auto: scikit-learn, for up to {_SKLEARN_UP_TO} images"
    return "opentsne", f"auto: openTSNE, for more than {_SKLEARN_UP_TO} images"


def make_map(
    features: np.ndarray,
    *,
    perplexity: float = 30,
    seed: int = 0,
    backend: str = "auto",
    start: Literal["pca", "random"] = "pca",
) -> TsneMap:
    """Map the rows of a layer into the plane.

    The same input gives the same bits on one machine.

    Parameters
    ----------
    features : (N, D) float array
        Four rows or more, finite, not all the same.
    perplexity : float
    seed : int
    backend : auto, sklearn or opentsne
    start : pca or random
        The first two principal components, or a draw from the seed: a second opinion on what is in the map.
    """
    features = centred(features)
    learning_rate = max(len(features) / _EXAGGERATION, _LOWEST_LEARNING_RATE)
    points = _start(features, seed, start)
    if choose_backend(len(features), backend)[0] == "sklearn":
        tsne = TSNE(
            perplexity=perplexity,
            early_exaggeration=_EXAGGERATION,
            learning_rate=learning_rate / 4,  # its gradient is defined without the factor of 4
            max_iter=_ITERATIONS,
            init=points.astype(np.float32),
        )
        # it sums over threads in the order in which they end: one thread always gives the same bits
        with threadpool_limits(1, "openmp"):
            return TsneMap(tsne.fit_transform(features).astype(np.float64), float(tsne.kl_divergence_))
    rows, distances = nearest_rows(features, features, int(3 * perplexity), exclude_self=True)
    threads = _threads(len(features))
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(rows, distances), perplexity=perplexity, n_jobs=threads
    )
    embedding = openTSNE.TSNEEmbedding(
        points,
        affinities,
        learning_rate=learning_rate,
        negative_gradient_method="fft" if len(features) >= _FFT_FROM else "bh",
        n_jobs=threads,
    )
    embedding.optimize(_EXAGGERATED_ITERATIONS, exaggeration=_EXAGGERATION, momentum=0.5, inplace=True)
    embedding.optimize(_ITERATIONS - _EXAGGERATED_ITERATIONS, momentum=0.8, inplace=True)
    return TsneMap(np.array(embedding), float(embedding.kl_divergence))


def place_points(
    new: np.ndarray, features: np.ndarray, points: np.ndarray, *, perplexity: float = 5
) -> np.ndarray:
    """Place new images into an old map, which stays as it is.

    Each starts at the median of its nearest images on the map and is then moved by the forces between it and
    the map alone (Poličar, Stražar and Zupan 2021), with the settings of openTSNE's `transform`: where an
    image lands does not depend on which others are placed with it.

    Parameters
    ----------
    new : (n, D) float array
    features : (N, D) float array
        What the map was made of.
    points : (N, 2) float array
        The map.
    perplexity : float
        Lowered where the map has fewer than three times as many images.

    Returns
    -------
    (n, 2) float64 array
    """
    if not len(new):
        return np.empty((0, 2))
    centre = features.mean(axis=0, dtype=np.float64)
    neighbors = min(int(3 * perplexity), len(features))
    rows, distances = nearest_rows(centred(new, centre), centred(features, centre), neighbors)
    threads = _threads(len(features))
    affinities = joint_probabilities_nn(
        rows,
        distances,
        [min(perplexity, neighbors / 3)],
        symmetrize=False,
        normalization="point-wise",
        n_reference_samples=len(features),
        n_jobs=threads,
    )
    # an openTSNE embedding has affinities; of a map that stays as it is only their size is looked at
    old = openTSNE.TSNEEmbedding(points, SimpleNamespace(P=np.empty((len(points), 0))))
    start = np.median(np.asarray(points)[rows[:, :25]], axis=1)
    placed = PartialTSNEEmbedding(
        np.ascontiguousarray(start), old, affinities, negative_gradient_method="bh", n_jobs=threads
    )
    placed.optimize(250, learning_rate=0.1, exaggeration=1.5, momentum=0.8, max_grad_norm=0.25, inplace=True)
    return np.array(placed)


def centred(features: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """Values in float32 about the mean, where squared distances lose the fewest digits."""
    if centre is None:
        centre = features.mean(axis=0, dtype=np.float64)
    return np.ascontiguousarray(features - centre.astype(np.float32), np.float32)


def _start(features: np.ndarray, seed: int, start: str) -> np.ndarray:
    """(N, 2) float64 whose first column has a standard deviation of 1e-4."""
    random = np.random.default_rng(seed)
    points = random.standard_normal((len(features), 2))
    if start == "pca":
        components = min(2, *features.shape)
        found = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(features)
        found = found.astype(np.float64) / found[:, 0].std()
        # a little noise parts images with the same values, and stands in for a missing second component
        points *= 0.01
        points[:, :components] += found
    return np.ascontiguousarray(points / points[:, 0].std() * _START_SD)


def nearest_rows(
    queries: np.ndarray, database: np.ndarray, k: int, *, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, k) int64 and Euclidean distances (n, k) float64 of the nearest, nearest first.

    From float32 products alone: the last digits, which `search.exact` settles at the cost of measuring
    each candidate again, do not show on a map.
    """
    if not exclude_self:
        squared, rows = faiss.knn(queries, database, k)
    else:
        squared, rows = faiss.knn(queries, database, k + 1)
        own = rows == np.arange(len(queries))[:, None]
        own[~own.any(axis=1), -1] = True  # so many equal rows that its own is not among them
        squared, rows = (a[~own].reshape(-1, k) for a in (squared, rows))
    return rows, np.sqrt(squared, dtype=np.float64)


def _threads(count: int) -> int:
    return 1 if count < _THREADS_FROM else cores()

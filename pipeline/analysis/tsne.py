"""t-SNE maps of a layer, and how far each may be trusted.

The practice is that of Kobak and Berens (2019, "The art of using t-SNE for single-cell transcriptomics"):
a start from the first two principal components at a standard deviation of 1e-4, a learning rate of N/12
(at least 200), early exaggeration 12 over 250 of 750 iterations, perplexity 30. The neighbors are exact and
Euclidean in the whole layer, not in its first principal components.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import faiss
import numpy as np
import openTSNE
from openTSNE.affinity import PerplexityBasedNN, joint_probabilities_nn
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from openTSNE.tsne import PartialTSNEEmbedding
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from ..errors import UserError
from ..files.atomic import atomic_write, write_text

Backend = Literal["sklearn", "opentsne"]

_SKLEARN_UP_TO = 500  # images; beyond it openTSNE is as fast or faster for the same KL
_START_SD = 1e-4
_EXAGGERATION = 12
_ITERATIONS = 750
_EXAGGERATED_ITERATIONS = 250
_LOWEST_LEARNING_RATE = 200.0
_FFT_FROM = 10_000
_THREADS_FROM = (
    2000  # images; below it threads gain a little on an idle machine and lose tenfold on a busy one
)
_ANCHORS = 2000  # images that trustworthiness is measured on, at most
_NEIGHBORS = 10


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


@dataclasses.dataclass(frozen=True)
class Trust:
    """How much of the layer a map shows.

    Attributes
    ----------
    kl : float
    trustworthiness : float
        Venna and Kaski (2001), of the `neighbors` nearest: 1 if no false neighbors are on the map.
    knn_preservation : float
        Share of the `neighbors` nearest images in the layer that are among the nearest on the map.
    stability : float or None
        Share of the nearest on the map that further maps from random starts have as well, on average.
    neighbors : int
        How many nearest images the measures look at.
    purity, purity_in_layer, chance : (C,) float
        Over the images of a class: the share of their nearest on the map, and in the layer, that show the
        class as well, and the share among all other images. NaN for a class in fewer than two images.
    """

    kl: float
    trustworthiness: float
    knn_preservation: float
    stability: float | None
    neighbors: int
    purity: np.ndarray
    purity_in_layer: np.ndarray
    chance: np.ndarray


def draw_sample(count: int, size: int, seed: int) -> np.ndarray:
    """`size` of `count` rows, drawn without replacement, in increasing order; all rows if there are fewer."""
    if size >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))


def check_mappable(
    features: np.ndarray, ids: Sequence[str] | np.ndarray, perplexity: float, name: str
) -> None:
    """Refuse a layer that no map can be made of.

    Parameters
    ----------
    features : (N, D) float array
    ids : N str
    perplexity : float
    name : str
        What the features are called in the message.

    Raises
    ------
    UserError
        If there are no images or fewer than three times the perplexity, a value is not finite, or all rows
        are equal.
    """
    count = len(features)
    if count < 4:
        raise UserError(
            f"tsne: {name}: a map needs 4 images or more, and there are {count}; raise tsne.sample"
        )
    if count - 1 < 3 * perplexity:
        raise UserError(
            f"tsne.perplexity: {perplexity:g} needs at least {int(np.ceil(3 * perplexity)) + 1} images, and "
            f"{name} has {count}; set it to {int((count - 1) / 3)} or lower, or map more images"
        )
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        first = ids[int(np.argmin(finite))]
        raise UserError(
            f"tsne: {name}: {int((~finite).sum())} of {count} images have a value that is not finite, the "
            f"first is {first}; extract the layer again, with precision fp32"
        )
    if (features == features[0]).all():
        raise UserError(f"tsne: {name}: all {count} images have the same values; there is nothing to map")


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
        Checked by `check_mappable`.
    perplexity : float
    seed : int
    backend : auto, sklearn or opentsne
    start : pca or random
        The first two principal components, or a draw from the seed: a second opinion on what is in the map.
    """
    features = _centred(features)
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
    rows, distances = _nearest(features, features, int(3 * perplexity), exclude_self=True)
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
    rows, distances = _nearest(_centred(new, centre), _centred(features, centre), neighbors)
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


def measure_trust(
    features: np.ndarray,
    labels: np.ndarray,
    tsne_map: TsneMap,
    others: Sequence[np.ndarray] = (),
    *,
    seed: int = 0,
) -> Trust:
    """How much of the layer `tsne_map` shows; see `Trust`.

    Parameters
    ----------
    features : (N, D) float array
        What the map was made of.
    labels : (N, C) int8 array
        A neighbor in which the class is only difficult (0) counts neither for nor against it.
    tsne_map : TsneMap
    others : sequence of (N, 2) arrays
        Maps of the same images from other starts.
    seed : int
        Of the draw of 2000 images that trustworthiness is measured on where there are more.
    """
    features = _centred(features)
    count = len(features)
    k = min(_NEIGHBORS, (count - 1) // 2)
    in_layer, _ = _nearest(features, features, k, exclude_self=True)
    on_map = _neighbors_on(tsne_map.points, k)
    stability = [_overlap(on_map, _neighbors_on(points, k)) for points in others]
    anchors = draw_sample(count, _ANCHORS, seed)
    return Trust(
        kl=tsne_map.kl,
        trustworthiness=_trustworthiness(features, anchors, on_map[anchors]),
        knn_preservation=_overlap(in_layer, on_map),
        stability=float(np.mean(stability)) if stability else None,
        neighbors=k,
        purity=_purity(labels, on_map),
        purity_in_layer=_purity(labels, in_layer),
        chance=_chance(labels),
    )


def write_map(
    path: Path | str,
    ids: Sequence[str] | np.ndarray,
    points: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[str],
) -> None:
    """Write a map as CSV: id, x, y, labels (class names with spaces between), colour (#rrggbb)."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "x", "y", "labels", "colour"])
        for name, (x, y), present, colour in zip(ids, points, labels, colours, strict=True):
            writer.writerow([name, f"{x:.5f}", f"{y:.5f}", present, colour])


def read_map(path: Path | str) -> tuple[list[str], np.ndarray]:
    """The N ids and (N, 2) float64 points of a map written by `write_map`; `UserError` if there is none."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
        if not rows or not np.isfinite(points).all():
            raise ValueError
        return [row["id"] for row in rows], points
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such map; name the layer in tsne.of of params.yaml and run `dvc repro tsne`"
        ) from None
    except (KeyError, ValueError, TypeError, csv.Error):
        raise UserError(f"{path}: not a map, or damaged; run `dvc repro tsne` to write it again") from None


def write_trust(
    path: Path | str, trust: Trust, classes: Sequence[str], *, backend: Backend, images: int
) -> None:
    """Write the measures as JSON, for `dvc metrics`; a class without a purity is left out."""

    def by_class(values: np.ndarray) -> dict[str, float]:
        return {name: _rounded(v) for name, v in zip(classes, values.tolist(), strict=True) if v == v}

    measures: dict[str, object] = {
        "backend": backend,
        "images": images,
        "neighbors": trust.neighbors,
        "kl": _rounded(trust.kl),
        "trustworthiness": _rounded(trust.trustworthiness),
        "knn_preservation": _rounded(trust.knn_preservation),
        "purity": by_class(trust.purity),
        "purity_in_layer": by_class(trust.purity_in_layer),
        "chance": by_class(trust.chance),
    }
    if trust.stability is not None:
        measures["stability"] = _rounded(trust.stability)
    write_text(path, json.dumps(measures, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def names_present(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """For every row of (N, C) labels the names of the classes present, with spaces between."""
    return [" ".join(classes[c] for c in np.flatnonzero(row).tolist()) for row in np.asarray(labels) == 1]


def _rounded(value: float) -> float:
    return round(value, 6)


def _centred(features: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """float32 about the mean, where squared distances lose the fewest digits."""
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


def _nearest(
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


def _neighbors_on(points: np.ndarray, k: int) -> np.ndarray:
    return _nearest(_centred(points), _centred(points), k, exclude_self=True)[0]


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Mean share of each row's entries of `first` that `second` has in the same row."""
    return float((first[:, :, None] == second[:, None, :]).any(axis=2).mean())


def _trustworthiness(features: np.ndarray, anchors: np.ndarray, on_map: np.ndarray) -> float:
    """Venna and Kaski's measure, over the `anchors` only; `on_map` are their neighbors on the map."""
    count, k = len(features), on_map.shape[1]
    squares = (features**2).sum(axis=1)
    penalty = 0
    for block in _blocks(len(anchors), 256):
        rows = anchors[block]
        squared = squares - 2 * features[rows] @ features.T + squares[rows, None]
        squared[np.arange(len(rows)), rows] = np.inf
        reached = np.take_along_axis(squared, on_map[block], axis=1)
        for j in range(k):
            rank = (squared < reached[:, j, None]).sum(axis=1) + 1
            penalty += int(np.maximum(rank - k, 0).sum())
    return 1 - 2 * penalty / (len(anchors) * k * (2 * count - 3 * k - 1))


def _purity(labels: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    values = np.full(labels.shape[1], np.nan)
    for c, column in enumerate(labels.T):
        images = np.flatnonzero(column == 1)
        near = column[neighbors[images]]
        if len(images) > 1 and (near != 0).any():
            values[c] = (near == 1).sum() / (near != 0).sum()
    return values


def _chance(labels: np.ndarray) -> np.ndarray:
    """The share of a class among the images other than one that shows it."""
    present = (labels == 1).sum(axis=0)
    certain = (labels != 0).sum(axis=0)
    return np.where(present > 1, (present - 1) / np.maximum(certain - 1, 1), np.nan)


def _threads(count: int) -> int:
    return 1 if count < _THREADS_FROM else len(os.sched_getaffinity(0))


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))

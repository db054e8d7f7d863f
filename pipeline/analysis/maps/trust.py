"""How far a t-SNE map may be trusted: what of the layer it shows, and what it adds by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ...results.tsne_map import ClassOnMap
from .tsne import centred, draw_sample, nearest_rows

_ANCHORS = 2000  # images that trustworthiness is measured on, at most
_NEIGHBORS = 10


@dataclasses.dataclass(frozen=True)
class Trust:
    """The measures of a map, as `TsneResult` explains them."""

    neighbors: int
    trustworthiness: float
    knn_preservation: float
    stability: float | None
    by_class: tuple[ClassOnMap, ...]


def measure_trust(
    features: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    points: np.ndarray,
    others: Sequence[np.ndarray] = (),
    *,
    seed: int = 0,
) -> Trust:
    """How much of the layer a map shows.

    Parameters
    ----------
    features : (N, D) float array
        What the map was made of; four rows or more.
    labels : (N, C) int8 array
        A neighbor in which the class is only difficult (0) counts neither for nor against it.
    classes : C str
    points : (N, 2) float array
        The map.
    others : sequence of (N, 2) arrays
        Maps of the same images from other starts.
    seed : int
        Of the draw of 2000 images that trustworthiness is measured on where there are more.
    """
    features = centred(features)
    count = len(features)
    k = min(_NEIGHBORS, (count - 1) // 2)
    in_layer, _ = nearest_rows(features, features, k, exclude_self=True)
    on_map = _neighbors_on(points, k)
    stability = [_overlap(on_map, _neighbors_on(other, k)) for other in others]
    anchors = draw_sample(count, _ANCHORS, seed)
    return Trust(
        neighbors=k,
        trustworthiness=_trustworthiness(features, anchors, on_map[anchors]),
        knn_preservation=_overlap(in_layer, on_map),
        stability=float(np.mean(stability)) if stability else None,
        by_class=_by_class(labels, classes, on_map, in_layer),
    )


def knn_preservation(features: np.ndarray, points: np.ndarray, some: np.ndarray) -> float | None:
    """As `Trust.knn_preservation`, over the images of a (N,) bool mask; None where it is of none."""
    if not some.any():
        return None
    features, k = centred(features), min(_NEIGHBORS, (len(features) - 1) // 2)
    in_layer, _ = nearest_rows(features, features, k, exclude_self=True)
    return _overlap(in_layer[some], _neighbors_on(points, k)[some])


def _neighbors_on(points: np.ndarray, k: int) -> np.ndarray:
    return nearest_rows(centred(points), centred(points), k, exclude_self=True)[0]


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
    return float(1 - 2 * penalty / (len(anchors) * k * (2 * count - 3 * k - 1)))


def _by_class(
    labels: np.ndarray, classes: Sequence[str], on_map: np.ndarray, in_layer: np.ndarray
) -> tuple[ClassOnMap, ...]:
    found = []
    for name, column in zip(classes, labels.T, strict=True):
        images = np.flatnonzero(column == 1)
        purity, purity_in_layer = _purity(column, on_map[images]), _purity(column, in_layer[images])
        if len(images) > 1 and purity is not None and purity_in_layer is not None:
            chance = (len(images) - 1) / (np.count_nonzero(column) - 1)
            found.append(
                ClassOnMap(
                    class_name=name, purity=purity, purity_in_layer=purity_in_layer, chance=float(chance)
                )
            )
    return tuple(found)


def _purity(column: np.ndarray, neighbors: np.ndarray) -> float | None:
    """The share of a class among the neighbors for which it is certain; None where it is for none."""
    near = column[neighbors]
    certain = np.count_nonzero(near)
    return float(np.count_nonzero(near == 1) / certain) if certain else None


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))

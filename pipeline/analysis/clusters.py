"""Clusters of a layer's images: what they show beyond chance, and their most typical images.

They are found in the first principal components of the rows at length one, as a search by cosine sees them,
and not on a map: a map tears groups apart and puts others together, which is what its measures of trust tell,
while in thousands of dimensions all distances are much alike and no place is denser than another.

HDBSCAN (Campello, Moulavi and Sander 2013) takes the leaves of its tree, and five neighbors for an estimate
of density: of 600 photographs in mobilenet_v2's pooled layer it puts 31 % into six clusters, and 95 % of the
pairs in one cluster share a class (with its library's defaults 32 % into two, and 64 %). With two neighbors
it finds clusters in noise as well. What any of it is worth is told by the same method on one normal cloud of
the same variances (as in SigClust, Liu et al. 2008): there are no groups in it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import faiss
import numpy as np
from msgspec.structs import replace
from scipy.stats import hypergeom
from sklearn.cluster import HDBSCAN
from sklearn.metrics import silhouette_samples

from ..params.sections import Maps
from ..results.clusters import NOISE, ClassInCluster, Cluster, ClustersResult
from ..search.vectors import as_float32, check_finite, unit_rows
from ..store.feature_file import FeatureFile
from .maps.layer_map import unmappable
from .maps.pca import principal_components
from .maps.tsne import draw_sample

_DIMENSIONS = 50
_DENSITY = 5  # neighbors, itself among them, whose distance says how dense a place is
_TYPICAL = 6
_SILHOUETTE_UP_TO = 5000  # images; it compares all pairs
_SIGNIFICANT = 0.05
_BLOCK = 1024
_log = logging.getLogger(__name__)


def cluster_layer(file: FeatureFile, layer: str, settings: Maps) -> ClustersResult:
    """Cluster a sample of a layer's rows, the one that the maps show.

    Raises
    ------
    UserError
        If a value is not finite.
    """
    name = f"{file.model}/{layer}"
    rows = draw_sample(len(file), settings.sample, settings.seed)
    stored, ids, labels = np.asarray(file.layer(layer)[rows]), file.ids[rows], file.labels[rows]
    check_finite(stored, ids, file.model, f"maps: {name}")
    features = unit_rows(as_float32(stored))
    result = ClustersResult(
        layer=name, split=file.split, method=settings.clusters, images=len(rows), seed=settings.seed
    )
    fewest = 2 * (settings.min_cluster_size if settings.clusters == "hdbscan" else settings.k)
    if reason := unmappable(features, fewest):
        return replace(result, gaps=(f"no clusters: {reason}",))
    _log.info("%s %s: %d of %d images of %s", settings.clusters, name, len(rows), len(file), file.split)
    space, shares = principal_components(features, _DIMENSIONS)
    number = by_size(_found(space, settings))
    silhouette = _silhouette(space, number)
    cloud = np.random.default_rng(settings.seed).normal(size=space.shape) * space.std(axis=0)
    by_lot = by_size(_found(cloud, settings))
    clusters = _clusters(space, number, silhouette, ids, labels, file.classes)
    sharing, by_chance = _sharing(labels[number != NOISE], number[number != NOISE])
    return replace(
        result,
        dimensions=space.shape[1],
        variance=float(shares.sum()),
        ids=tuple(ids.tolist()),
        cluster=tuple(number.tolist()),
        clusters=clusters,
        noise=int((number == NOISE).sum()),
        clustered_by_chance=int((by_lot != NOISE).sum()),
        silhouette=_mean(silhouette),
        silhouette_by_chance=_mean(_silhouette(cloud, by_lot)),
        sharing=sharing,
        sharing_by_chance=by_chance,
        gaps=tuple(_gaps(clusters, settings, file.classes)),
    )


def _found(space: np.ndarray, settings: Maps) -> np.ndarray:
    """A number of each row's cluster, -1 for noise."""
    if settings.clusters == "hdbscan":
        hdbscan = HDBSCAN(
            min_cluster_size=settings.min_cluster_size, min_samples=_DENSITY, cluster_selection_method="leaf",
            copy=True,
        )  # fmt: skip
        return np.asarray(hdbscan.fit_predict(space))
    kmeans = faiss.Kmeans(
        space.shape[1], settings.k, niter=50, nredo=5, seed=settings.seed,
        min_points_per_centroid=1, max_points_per_centroid=len(space),
    )  # fmt: skip
    rows = np.ascontiguousarray(space, np.float32)
    kmeans.train(rows)
    nearest: np.ndarray = kmeans.index.search(rows, 1)[1][:, 0]
    return nearest


def by_size(found: np.ndarray) -> np.ndarray:
    """Numbers from 1, the largest cluster first, of equal ones that of the earlier row; 0 for -1."""
    names, first, counts = np.unique(found[found >= 0], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    number = np.full(max(found.max(initial=-1), 0) + 2, NOISE)  # the last for -1
    number[names[order]] = np.arange(1, len(names) + 1)
    numbers: np.ndarray = number[found]
    return numbers


def _clusters(
    space: np.ndarray,
    number: np.ndarray,
    silhouette: np.ndarray,
    ids: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
) -> tuple[Cluster, ...]:
    count = int(number.max(initial=NOISE))
    found = []
    for cluster in range(1, count + 1):
        rows = np.flatnonzero(number == cluster)
        apart = ((space[rows] - space[rows].mean(axis=0)) ** 2).sum(axis=1)
        typical = rows[np.argsort(apart, kind="stable")[:_TYPICAL]]
        found.append(
            Cluster(
                number=cluster,
                images=len(rows),
                silhouette=_mean(silhouette[rows]),
                typical=tuple(ids[typical].tolist()),
                classes=_classes(labels, rows, classes, tests=count * len(classes)),
            )
        )
    return tuple(found)


def _silhouette(space: np.ndarray, number: np.ndarray) -> np.ndarray:
    """That of each row among the rows in clusters; NaN for noise, and where there are not two clusters."""
    found, inside = np.full(len(number), np.nan), number != NOISE
    if 1 < number.max(initial=NOISE) < inside.sum() <= _SILHOUETTE_UP_TO:
        found[inside] = silhouette_samples(space[inside], number[inside])
    return found


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _classes(
    labels: np.ndarray, rows: np.ndarray, classes: Sequence[str], tests: int
) -> tuple[ClassInCluster, ...]:
    """What the images of a cluster show, beside what as many images drawn from all would."""
    found = []
    for name, column in zip(classes, labels.T, strict=True):
        own, shown = column[rows], int((column[rows] == 1).sum())
        if not shown:
            continue
        certain, all_certain, all_shown = (own != 0).sum(), (column != 0).sum(), (column == 1).sum()
        p_value = float(hypergeom.sf(shown - 1, all_certain, all_shown, certain))
        found.append(
            ClassInCluster(
                class_name=name,
                images=shown,
                share=float(shown / certain),
                chance=float(all_shown / all_certain),
                p_value=p_value,
                beyond_chance=p_value < _SIGNIFICANT / tests,
            )
        )
    return tuple(sorted(found, key=lambda part: (part.p_value, -part.share)))


def _sharing(labels: np.ndarray, number: np.ndarray) -> tuple[float | None, float | None]:
    """The share of pairs that have a class in common, within clusters and over all."""
    shown = (labels == 1).astype(np.float32)
    within = of_within = over_all = 0
    for start in range(0, len(shown), _BLOCK):
        block = slice(start, start + _BLOCK)
        common = shown[block] @ shown.T > 0
        together = number[block, None] == number[None, :]
        here = np.arange(len(common)), np.arange(start, start + len(common))
        common[here] = together[here] = False  # no image is a pair
        over_all += int(common.sum())
        within += int(together.sum())
        of_within += int((common & together).sum())
    pairs = len(shown) * (len(shown) - 1)
    if not shown.any() or not within:
        return None, None
    return of_within / within, over_all / pairs


def _gaps(clusters: Sequence[Cluster], settings: Maps, classes: Sequence[str]) -> list[str]:
    gaps = []
    if not clusters:
        gaps.append(
            f"no clusters: nowhere do {settings.min_cluster_size} images lie closer together than elsewhere; "
            "maps.clusters: kmeans divides them all the same"
        )
    elif not classes:
        gaps.append("no composition of clusters: the images have no labels")
    return gaps

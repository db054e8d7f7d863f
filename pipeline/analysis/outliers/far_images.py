"""Images that lie far from all others, and small groups that do, from a layer's stored neighbor graph."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...measures.robust_score import CUT
from ...results.outliers import IsolatedGroup, OddInLayer
from ...store.feature_file import FeatureFile
from ...store.neighbor_file import NeighborFile
from ..neighbor_graph import how_searched
from .odd_values import Values
from .typical_images import typical_of_classes

FEWEST = 10  # images; the middle of fewer is no measure
_LARGEST = 0.05  # of all images; a larger group is a kind of image, no oddity
_NAMED = 12  # images of a group


def examine_layer(
    graph: NeighborFile, file: FeatureFile, k: int, listed: int
) -> tuple[OddInLayer | None, list[str]]:
    """What is odd and what is typical within one split, and what cannot be said.

    An image is odd by its distance to the k-th neighbor (Ramaswamy, Rastogi and Shim 2000), among those of
    all images of the split. That tells no group of more than k images, which are near each other: for these
    see `isolated_groups`.

    Parameters
    ----------
    graph : NeighborFile
        Of a layer of `file`.
    k : int
    listed : int
        Images and groups at most; of images no more than a tenth of the split.
    """
    where = f"{graph.layer}, {file.split}"
    if len(file) < FEWEST:
        return None, [f"{where}: {len(file)} images are too few to tell an odd one, which takes {FEWEST}"]
    rows, distances = graph.nearest(file.split, file.split)
    gaps = how_searched(graph)
    if (deep := rows.shape[1]) < k:
        gaps.append(f"{where}: the distance to neighbor {deep} counts, not to {k}: no more are stored")
        k = deep
    far = Values(distances[:, k - 1].astype(np.float64))
    first = np.argsort(-far.values, kind="stable")[: min(listed, max(len(file) // 10, 1))]
    ids, splits = file.ids, [file.split] * len(file)
    groups = isolated_groups(rows, distances, file, k)
    typical, without = typical_of_classes(rows[:, :k], far.values, file)
    return OddInLayer(
        layer=graph.layer,
        split=file.split,
        k=k,
        distances=far.compared,
        beyond=int((far.scores(far.values) > CUT).sum()),
        odd=far.told(far.values[first], splits, ids[first].tolist(), ids[rows[first, 0]].tolist()),
        nearest=Values(distances[:, 0].astype(np.float64)).compared,
        isolated=len(groups),
        groups=tuple(groups[:listed]),
        typical=tuple(typical),
    ), gaps + without


def isolated_groups(
    rows: np.ndarray, distances: np.ndarray, file: FeatureFile, k: int
) -> list[IsolatedGroup]:
    """Groups of at least two images that are far from all others, the most isolated first.

    Groups are components of the mutual k-nearest-neighbor graph, in which two images are linked that have
    each other among their k nearest (Brito, Chávez, Quiroz and Yukich 1997); a group of k images or fewer
    has links to others there, so those of the k / 2 nearest are tried as well. A group is isolated by the
    distance of its image that is nearest to one outside, among the distances of all images to their nearest:
    copies of an image like any other are a group, but no isolated one.

    Parameters
    ----------
    rows, distances : (N, depth) int64 and float32
        The nearest of every row.
    """
    near = Values(distances[:, 0].astype(np.float64))
    taken = np.zeros(len(rows), bool)
    found = []
    for links in (k, max(k // 2, 1)):
        groups = _mutual_groups(rows[:, :links])
        nearest, gaps, outside = _nearest_outside(groups, rows, distances)
        for at in np.flatnonzero((near.scores(gaps) > CUT) & ~taken[nearest]).tolist():
            members = np.flatnonzero(groups == groups[nearest[at]])
            taken[members] = True
            (odd,) = near.told(
                gaps[at : at + 1], [file.split], [str(file.ids[nearest[at]])], [str(file.ids[outside[at]])]
            )
            named = tuple(file.ids[members[:_NAMED]].tolist())
            found.append(IsolatedGroup(ids=named, images=len(members), odd=odd))
    return sorted(found, key=lambda group: -group.odd.value)


def _nearest_outside(
    groups: np.ndarray, rows: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By small group its row that is nearest to one outside, that distance, and the row outside."""
    sizes = np.bincount(groups)[groups]
    small = np.flatnonzero((sizes > 1) & (sizes <= max(_LARGEST * len(rows), 2)))
    others = groups[rows[small]] != groups[small, None]
    at = np.where(others.any(axis=1), others.argmax(axis=1), rows.shape[1] - 1)  # at least as far
    gaps = distances[small, at].astype(np.float64)
    order = np.lexsort((gaps, groups[small]))
    _, first = np.unique(groups[small][order], return_index=True)
    chosen = order[first]
    return small[chosen], gaps[chosen], rows[small[chosen], at[chosen]]


def _mutual_groups(rows: np.ndarray) -> np.ndarray:
    """The component of every row: (N,) int."""
    count, k = rows.shape
    of = np.repeat(np.arange(count), k), rows.ravel()
    named = coo_array((np.ones(count * k, np.int8), of), shape=(count, count)).tocsr()
    groups: np.ndarray = connected_components(named.multiply(named.T), directed=False)[1]
    return groups

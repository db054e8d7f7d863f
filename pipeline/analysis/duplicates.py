"""Near-duplicates within a split, and leaks between the splits: read from the stored neighbors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files.csv_file import decimals, write_csv
from ..results.duplicates import DuplicatePair, DuplicatesResult, PairCount
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from .neighbor_graph import how_searched

_COLUMNS = ["split_a", "id_a", "split_b", "id_b", "similarity", "identical_bytes"]


def find_duplicates(files: Sequence[FeatureFile], graph: NeighborFile, threshold: float) -> DuplicatesResult:
    """The pairs with a cosine similarity of at least `threshold`, within each file and between any two.

    A pair is known where one of its images has the other among its stored neighbors. The record's gaps say
    where there may be more: where both images of a pair have more near-duplicates than are stored. An image
    that two splits share is a pair too.

    Parameters
    ----------
    files : sequence of FeatureFile
        Of one model, each of another split.
    graph : NeighborFile
        Of a layer of these files, with the metric cosine.
    threshold : float
    """
    pairs: list[DuplicatePair] = []
    counts, gaps = [], how_searched(graph)
    for number, asking in enumerate(files):
        for found in files[number:]:
            listed, full = _pairs(graph, asking, found, threshold)
            counts.append(
                PairCount(
                    split_a=asking.split,
                    split_b=found.split,
                    pairs=len(listed),
                    identical_bytes=sum(pair.identical_bytes for pair in listed),
                )
            )
            if full:
                gaps.append(
                    f"{counts[-1].where}: {full} images have more near-duplicates than the {graph.depth} "
                    f"neighbors that are stored of each; {len(listed)} pairs are listed, of identical files "
                    f"alone there are {_identical_pairs(asking, found)}"
                )
            pairs += listed
    pairs.sort(key=lambda pair: (-pair.similarity, pair.split_a, pair.id_a, pair.split_b, pair.id_b))
    return DuplicatesResult(
        layer=graph.layer, threshold=threshold, counts=tuple(counts), pairs=tuple(pairs), gaps=tuple(gaps)
    )


def write_duplicates(result: DuplicatesResult, path: Path | str) -> None:
    """Write the pairs as CSV."""
    rows = [
        [p.split_a, p.id_a, p.split_b, p.id_b, decimals(p.similarity), p.identical_bytes]
        for p in result.pairs
    ]
    write_csv(path, _COLUMNS, rows)


def duplicates_metrics(result: DuplicatesResult) -> dict[str, Any]:
    """How many pairs and pairs of identical files there are within and between the splits; the groups."""
    pairs = {
        count.where: {"identical_bytes": count.identical_bytes, "pairs": count.pairs}
        for count in result.counts
    }
    if result.layer is None:
        return pairs
    groups = {"count": len(result.groups), "largest": max((len(g.images) for g in result.groups), default=0)}
    return pairs | {"groups": groups | {"left_out": len(result.left_out), "redundant": len(result.redundant)}}


def _pairs(
    graph: NeighborFile, asking: FeatureFile, found: FeatureFile, threshold: float
) -> tuple[list[DuplicatePair], int]:
    """The pairs of two splits, and how many images have more than are stored.

    A pair is missed only if both of its lists are full; where one side has no full list, none is.
    """
    within = asking.split == found.split
    a, b, distances, full = _near(graph, asking.split, found.split, threshold, len(found) - within)
    others_full = full
    if not within:
        more_b, more_a, more_distances, others_full = _near(
            graph, found.split, asking.split, threshold, len(asking)
        )
    else:
        more_a, more_b, more_distances = b[a > b], a[a > b], distances[a > b]
        a, b, distances = a[a < b], b[a < b], distances[a < b]
    a, b = np.append(a, more_a), np.append(b, more_b)
    _, first = np.unique(a * len(found) + b, return_index=True)
    a, b, distances = a[first], b[first], np.append(distances, more_distances)[first]
    same = (asking.digests[a] == found.digests[b]).all(axis=1)
    listed = [
        DuplicatePair(
            split_a=asking.split,
            id_a=id_a,
            split_b=found.split,
            id_b=id_b,
            similarity=round(1 - distance, 6),
            identical_bytes=identical,
        )
        for id_a, id_b, distance, identical in zip(
            asking.ids[a].tolist(), found.ids[b].tolist(), distances.tolist(), same.tolist(), strict=True
        )
    ]
    more = int(full.sum()) if within else int(full.sum() + others_full.sum())
    return listed, more if full.any() and others_full.any() else 0


def _near(
    graph: NeighborFile, asking: str, found: str, threshold: float, others: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of both splits with their distances, and for which rows of `asking` the list is full of them."""
    rows, distances = graph.nearest(asking, found)
    near = distances <= np.float32(1 - threshold)
    asked, places = np.nonzero(near)
    full = near[:, -1] if 0 < rows.shape[1] < others else np.zeros(len(rows), bool)
    return asked, rows[asked, places], distances[asked, places], full


def _identical_pairs(asking: FeatureFile, found: FeatureFile) -> int:
    """How many pairs there are whose files are the same byte by byte."""
    sizes = Counter(digest.tobytes() for digest in found.digests)
    if asking.split == found.split:
        return sum(size * (size - 1) // 2 for size in sizes.values())
    return sum(sizes[digest.tobytes()] for digest in asking.digests)

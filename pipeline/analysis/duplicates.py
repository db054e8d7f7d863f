"""Near-duplicates within a split, leaks between the splits, and what to leave out for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files.csv_file import decimals, write_csv
from ..results.duplicates import DuplicatePair, DuplicatesResult, PairCount
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from .duplicate_groups import group_duplicates, redundant
from .near_pairs import NearPairs, near_pairs
from .neighbor_graph import how_searched

MOST_LISTED = 100_000
_COLUMNS = ["split_a", "id_a", "split_b", "id_b", "similarity", "identical_bytes"]


def find_duplicates(
    files: Sequence[FeatureFile],
    graph: NeighborFile,
    threshold: float,
    pixels: Mapping[str, Mapping[str, int]],
    most_listed: int = MOST_LISTED,
) -> DuplicatesResult:
    """The pairs with a cosine similarity of at least `threshold`, their groups, and what to leave out.

    Counts, groups and lists are of all pairs that the graph knows; of the pairs themselves the `most_listed`
    most similar are in the record. The record's gaps say where there may be more: where both images of a pair
    have more near-duplicates than are stored. An image that two splits share is a pair too.

    Parameters
    ----------
    files : sequence of FeatureFile
        Of one model, each of another split: what is trained with, then what is tested on.
    graph : NeighborFile
        Of a layer of these files, with the metric cosine.
    threshold : float
    pixels : {split: {id: number of pixels}}
    """
    found = near_pairs(graph, files, threshold)
    counts = tuple(map(_count, found))
    gaps = how_searched(graph)
    gaps += [
        f"{count.where}: {pairs.full} images have more near-duplicates than the {graph.depth} neighbors that "
        f"are stored of each; {count.pairs} pairs are found, of identical files alone there are "
        f"{pairs.all_of_identical_bytes()}"
        for pairs, count in zip(found, counts, strict=True)
        if pairs.full
    ]
    groups = group_duplicates(found, files, graph.layer.split("/", 1)[1], pixels)
    everything, images = sum(map(len, found)), sum(map(len, files))
    if everything > most_listed:
        gaps.append(
            f"{everything} pairs are that similar; the {most_listed} most similar are listed, all are counted"
        )
        if 2 * (largest := max(len(group.images) for group in groups)) > images:
            gaps.append(
                f"one group has {largest} of all {images} images: {threshold} is too low a threshold for "
                f"{graph.layer}, which finds most images that alike"
            )
    out = _near_another_file(found, files[0])
    return DuplicatesResult(
        layer=graph.layer,
        threshold=threshold,
        counts=counts,
        pairs=tuple(_listed(found, most_listed)),
        groups=groups,
        left_out=tuple(out),
        redundant=tuple(redundant(groups, files[0].split, out)),
        gaps=tuple(gaps),
    )


def _count(pairs: NearPairs) -> PairCount:
    return PairCount(
        split_a=pairs.asking.split,
        split_b=pairs.found.split,
        pairs=len(pairs),
        identical_bytes=int(pairs.identical_bytes().sum()),
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


def _near_another_file(found: Sequence[NearPairs], file: FeatureFile) -> list[str]:
    """The ids of the images of `file` that are near one of another file, sorted.

    None is missed by a full list: an image of which more near ones are stored than fit has some in its list.
    """
    near = [pairs.a for pairs in found if pairs.asking is file and not pairs.within]
    return sorted(file.ids[np.unique(np.concatenate(near))].tolist()) if near else []


def _listed(found: Sequence[NearPairs], most: int) -> list[DuplicatePair]:
    """The most similar pairs first; equally similar ones by split and id."""
    listed = []
    for pairs in found:
        similarities = np.round(1 - pairs.distances.astype(np.float64), 6)
        if len(pairs) > most:  # the rest of these pairs comes after `most` of them
            kept = np.flatnonzero(similarities >= np.partition(similarities, -most)[-most])
        else:
            kept = np.arange(len(pairs))
        a, b = pairs.asking.ids[pairs.a[kept]], pairs.found.ids[pairs.b[kept]]
        order = np.lexsort((b, a, -similarities[kept]))[:most]
        same = pairs.identical_bytes()[kept]
        listed += [
            DuplicatePair(
                split_a=pairs.asking.split,
                id_a=id_a,
                split_b=pairs.found.split,
                id_b=id_b,
                similarity=similarity,
                identical_bytes=identical,
            )
            for id_a, id_b, similarity, identical in zip(
                a[order].tolist(),
                b[order].tolist(),
                similarities[kept][order].tolist(),
                same[order].tolist(),
                strict=True,
            )
        ]
    listed.sort(key=lambda pair: (-pair.similarity, pair.split_a, pair.id_a, pair.split_b, pair.id_b))
    return listed[:most]

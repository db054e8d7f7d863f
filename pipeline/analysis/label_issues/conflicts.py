"""Images that are the same, or nearly, and that are labelled differently: one of the two is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...results.label_issues import LabelConflict
from ...store.feature_file import FeatureFile
from ...store.neighbor_file import NeighborFile
from ..duplicate_groups import identical_rows
from ..near_pairs import near_pairs


def find_conflicts(
    files: Sequence[FeatureFile], graph: NeighborFile | None, threshold: float
) -> list[LabelConflict]:
    """The pairs of identical or similar images with different labels, each once, in their order.

    Label 0 (only difficult instances) differs from no other.

    Parameters
    ----------
    files : sequence of FeatureFile
        One a split, of one model.
    graph : NeighborFile or None
        Of a layer of theirs, with the metric cosine; without it, files of the same bytes alone are compared.
    threshold : float
        The cosine similarity from which two images are taken to be near-duplicates.
    """
    near = _near(files, graph, threshold) if graph else ()
    return in_order([*_identical(files), *near])


def in_order(conflicts: Iterable[LabelConflict]) -> list[LabelConflict]:
    """Each pair once, as the first tells it: identical files first, then the most similar ones."""
    found: dict[tuple[str, str, str, str], LabelConflict] = {}
    for conflict in conflicts:
        found.setdefault((conflict.split_a, conflict.id_a, conflict.split_b, conflict.id_b), conflict)

    def place(key: tuple[str, str, str, str]) -> tuple[bool, float, tuple[str, ...]]:
        return not found[key].identical_bytes, -found[key].similarity, key

    return [found[key] for key in sorted(found, key=place)]


def too_many(
    conflicts: Sequence[LabelConflict], files: Sequence[FeatureFile], layer: str, threshold: float
) -> list[str]:
    """A sentence where so many images seem alike that it is the layer which can hardly tell them apart."""
    pairs, images = sum(not conflict.identical_bytes for conflict in conflicts), sum(map(len, files))
    if pairs * 10 <= images:
        return []
    return [
        f"{pairs} pairs of {images} images are labelled differently and have a similarity of at least "
        f"{threshold} in {layer}: too low a threshold for this layer; raise label_issues.threshold"
    ]


def _near(files: Sequence[FeatureFile], graph: NeighborFile, threshold: float) -> Iterator[LabelConflict]:
    for pairs in near_pairs(graph, files, threshold):
        similarities = np.round(1 - pairs.distances.astype(np.float64), 6)
        identical = pairs.identical_bytes()
        similarities[identical] = 1
        yield from _differing(pairs.asking, pairs.a, pairs.found, pairs.b, similarities, identical)


def _identical(files: Sequence[FeatureFile]) -> Iterator[LabelConflict]:
    """Those of the same bytes, also where more of them are alike than a graph stores of each."""
    bounds = np.cumsum([0, *(len(file) for file in files)])
    pairs = np.sort(identical_rows(files), axis=0)
    of_files = np.searchsorted(bounds, pairs, side="right") - 1
    for a, b in np.unique(of_files.T, axis=0).tolist():
        first, second = pairs[:, (of_files[0] == a) & (of_files[1] == b)] - bounds[[[a], [b]]]
        same = np.ones(len(first), bool)
        yield from _differing(files[a], first, files[b], second, same.astype(np.float64), same)


def _differing(
    one: FeatureFile, a: np.ndarray, other: FeatureFile, b: np.ndarray, similar: np.ndarray, same: np.ndarray
) -> Iterator[LabelConflict]:
    """Of the pairs of rows those whose labels contradict each other."""
    of_one, of_other = one.labels[a], other.labels[b]
    for place in np.flatnonzero((of_one * of_other == -1).any(axis=1)).tolist():
        yield LabelConflict(
            split_a=one.split,
            id_a=str(one.ids[a[place]]),
            split_b=other.split,
            id_b=str(other.ids[b[place]]),
            similarity=float(similar[place]),
            identical_bytes=bool(same[place]),
            only_a=_only(of_one[place], of_other[place], one.classes),
            only_b=_only(of_other[place], of_one[place], one.classes),
        )


def _only(labels: np.ndarray, others: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes that are present in the one and absent in the other."""
    return tuple(classes[c] for c in np.flatnonzero((labels == 1) & (others == -1)).tolist())

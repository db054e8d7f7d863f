"""Groups of near-duplicates, the image of each that stays, and lists of what to leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..files.atomic import atomic_write
from ..files.csv_file import decimals, write_csv
from ..results.duplicates import DuplicateGroup, DuplicatesResult, GroupedImage
from ..store.feature_file import FeatureFile
from .near_pairs import NearPairs

_COLUMNS = ["group", "split", "id", "kept", "pixels", "least_similarity"]
_AT_A_TIME = 1024  # vectors


def group_duplicates(
    found: Sequence[NearPairs],
    files: Sequence[FeatureFile],
    layer: str,
    pixels: Mapping[str, Mapping[str, int]],
) -> tuple[DuplicateGroup, ...]:
    """The connected components of the pairs and of identical files, the largest first.

    Of a group the image with the most pixels stays, the first by id and then by split among equal ones.

    Parameters
    ----------
    found : sequence of NearPairs
        Of these files.
    files : sequence of FeatureFile
        One a split, whose layer the pairs were found in.
    pixels : {split: {id: number of pixels}}
    """
    first = np.cumsum([0, *(len(file) for file in files)])
    start = dict(zip((file.split for file in files), first.tolist(), strict=False))
    near = [
        np.array([pairs.a + start[pairs.asking.split], pairs.b + start[pairs.found.split]]) for pairs in found
    ]
    edges = np.column_stack([*near, identical_rows(files)])
    count = int(first[-1])
    _, groups = connected_components(
        coo_array((np.ones(edges.shape[1], bool), tuple(edges)), shape=(count, count)), directed=False
    )
    named = [(file.split, name) for file in files for name in file.ids.tolist()]
    made = []
    for rows in _of_two_or_more(groups):
        size = {row: pixels[named[row][0]][named[row][1]] for row in rows}
        rows.sort(key=lambda row: (-size[row], named[row][1], named[row][0]))
        images = tuple(GroupedImage(*named[row], size[row]) for row in rows)
        made.append(DuplicateGroup(images=images, least_similarity=_least(rows, files, first, layer)))
    return tuple(sorted(made, key=lambda group: (-len(group.images), group.images[0].id)))


def redundant(groups: Sequence[DuplicateGroup], train: str, without: Sequence[str]) -> list[str]:
    """The ids of the images of `train` of whose group a larger one stays in it, sorted; `without` aside."""
    gone, found = set(without), list[str]()
    for group in groups:
        here = [image.id for image in group.images if image.split == train and image.id not in gone]
        found += here[1:]
    return sorted(found)


def write_groups(result: DuplicatesResult, path: Path | str) -> None:
    """Write the images of all groups as CSV, the one that stays first."""
    rows = [
        [number, image.split, image.id, place == 0, image.pixels, decimals(group.least_similarity)]
        for number, group in enumerate(result.groups, 1)
        for place, image in enumerate(group.images)
    ]
    write_csv(path, _COLUMNS, rows)


def write_list(ids: Sequence[str], split: str, why: str, path: Path | str) -> None:
    """Write ids as a list that `dataset.exclude` takes a copy of: this one is made of what a list decides."""
    use = "# To use it, copy it beside params.yaml and name the copy in dataset.exclude."
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join([f"# {why}", use, f"[{split}]", *ids]) + "\n", encoding="utf-8")


def identical_rows(files: Sequence[FeatureFile]) -> np.ndarray:
    """Rows with the same bytes as the next one: (2, E)."""
    digests = np.concatenate([np.asarray(file.digests) for file in files])
    order = np.lexsort(digests.T)
    same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    return np.array([order[:-1][same], order[1:][same]])


def _of_two_or_more(groups: np.ndarray) -> list[list[int]]:
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def _least(rows: Sequence[int], files: Sequence[FeatureFile], first: np.ndarray, layer: str) -> float:
    """The least cosine similarity of an image of the group to the one that stays."""
    (kept,) = _vectors(np.asarray(rows[:1]), files, first, layer)
    length, least = np.linalg.norm(kept), np.inf
    for start in range(0, len(rows), _AT_A_TIME):
        vectors = _vectors(np.asarray(rows[start : start + _AT_A_TIME]), files, first, layer)
        lengths = np.linalg.norm(vectors, axis=1)
        least = min(least, (vectors @ kept / np.maximum(lengths * length, 1e-30)).min())
    return float(round(least, 6))


def _vectors(rows: np.ndarray, files: Sequence[FeatureFile], first: np.ndarray, layer: str) -> np.ndarray:
    """(n, D) float64 of rows that are counted through all files."""
    places = np.searchsorted(first, rows, side="right") - 1
    vectors: list[np.ndarray] = [
        np.asarray(files[place].layer(layer)[row - first[place]], np.float64).ravel()
        for place, row in zip(places.tolist(), rows.tolist(), strict=True)
    ]
    return np.stack(vectors)

"""Groups of near-duplicates, the image of each that stays, and lists of what to leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..files.atomic import atomic_write
from ..files.csv_file import decimals, write_csv
from ..results.duplicates import DuplicateGroup, DuplicatePair, DuplicatesResult, GroupedImage
from ..store.feature_file import FeatureFile

_COLUMNS = ["group", "split", "id", "kept", "pixels", "least_similarity"]


def group_duplicates(
    pairs: Sequence[DuplicatePair],
    files: Sequence[FeatureFile],
    layer: str,
    pixels: Mapping[str, Mapping[str, int]],
) -> tuple[DuplicateGroup, ...]:
    """The connected components of the pairs and of identical files, the largest first.

    Of a group the image with the most pixels stays, the first by id and then by split among equal ones.

    Parameters
    ----------
    pairs : of two images each
    files : sequence of FeatureFile
        One a split, whose layer the pairs were found in.
    pixels : {split: {id: number of pixels}}
    """
    first = np.cumsum([0, *(len(file) for file in files)])
    row_of = {
        (file.split, name): int(start) + row
        for file, start in zip(files, first, strict=False)
        for row, name in enumerate(file.ids.tolist())
    }
    a = [row_of[pair.split_a, pair.id_a] for pair in pairs]
    b = [row_of[pair.split_b, pair.id_b] for pair in pairs]
    edges = np.column_stack([np.array([a, b], np.int64).reshape(2, -1), _identical(files)])
    count = int(first[-1])
    _, groups = connected_components(
        coo_array((np.ones(edges.shape[1], bool), tuple(edges)), shape=(count, count)), directed=False
    )
    named = list(row_of)
    found = []
    for rows in _of_two_or_more(groups):
        size = {row: pixels[named[row][0]][named[row][1]] for row in rows}
        rows.sort(key=lambda row: (-size[row], named[row][1], named[row][0]))
        images = tuple(GroupedImage(*named[row], size[row]) for row in rows)
        found.append(DuplicateGroup(images=images, least_similarity=_least(rows, files, first, layer)))
    return tuple(sorted(found, key=lambda group: (-len(group.images), group.images[0].id)))


def left_out(result: DuplicatesResult, train: str, test: str) -> list[str]:
    """The ids of the images of `train` that are near one of `test`, sorted; none is missed by a full list.

    An image of which more near ones are stored than fit has some of them in the list of pairs.
    """
    return sorted({
        id_train
        for pair in result.pairs
        for split, other, id_train in (
            (pair.split_a, pair.split_b, pair.id_a), (pair.split_b, pair.split_a, pair.id_b),
        )
        if (split, other) == (train, test) and train != test
    })  # fmt: skip


def redundant(result: DuplicatesResult, train: str, without: Sequence[str]) -> list[str]:
    """The ids of the images of `train` of whose group a larger one stays in it, sorted; `without` aside."""
    gone, found = set(without), list[str]()
    for group in result.groups:
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


def _identical(files: Sequence[FeatureFile]) -> np.ndarray:
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
    vectors = np.stack([_vector(row, files, first, layer) for row in rows])
    lengths = np.linalg.norm(vectors, axis=1)
    return float(round((vectors @ vectors[0] / np.maximum(lengths * lengths[0], 1e-30)).min(), 6))


def _vector(row: int, files: Sequence[FeatureFile], first: np.ndarray, layer: str) -> np.ndarray:
    place = int(np.searchsorted(first, row, side="right")) - 1
    return np.asarray(files[place].layer(layer)[row - first[place]], np.float64).ravel()

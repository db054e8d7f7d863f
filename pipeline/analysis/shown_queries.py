"""Which queries to show, and what each representation finds near them."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..search.searcher import Neighbors
from ..store.feature_file import FeatureFile

_COLUMNS = ["query", "representation", "rank", "id", "distance", "labels", "shares_label"]


@dataclasses.dataclass(frozen=True)
class ShownQuery:
    """A query, and its neighbors in every representation.

    Attributes
    ----------
    id : str
    drawn_for : str
        The class that it was drawn for.
    labels : tuple of str
    found : {representation: Neighbors}
    """

    id: str
    drawn_for: str
    labels: tuple[str, ...]
    found: Mapping[str, Neighbors]

    def shares_label(self, labels: Sequence[str]) -> bool:
        return not set(self.labels).isdisjoint(labels)


def check_same_images(files: Sequence[FeatureFile]) -> FeatureFile:
    """The first of some feature files, once it is sure that all hold the same images in the same order.

    Raises
    ------
    UserError
        Naming the first one that does not.
    """
    for file in files[1:]:
        if file.ids_digest != files[0].ids_digest:
            raise UserError(
                f"{file.path}: {len(file)} images, not the {len(files[0])} of {files[0].path}; "
                "run `dvc repro extract` so that every model is asked about the same images"
            )
    return files[0]


def choose_queries(
    labels: np.ndarray, classes: Sequence[str], count: int, seed: int
) -> list[tuple[int, str]]:
    """Draw images of `count` different classes, none of which shows another's class.

    Images that show one class only are preferred, and classes that have such images. Depends on nothing
    but its arguments, so that every representation is asked the same.

    Parameters
    ----------
    labels : (N, C) int8
    classes : sequence of C str
    count, seed : int

    Returns
    -------
    list of (row, class)

    Raises
    ------
    UserError
        If there are not so many classes.
    """
    rng = np.random.default_rng(seed)
    present = labels == 1
    chosen: list[tuple[int, str]] = []
    taken = np.zeros(len(classes), bool)
    sizes = present.sum(axis=1)
    plainest = [sizes[present[:, column]].min(initial=len(classes)) for column in range(len(classes))]
    for column in sorted(rng.permutation(len(classes)), key=lambda column: plainest[column]):
        candidates = np.flatnonzero(present[:, column] & ~present[:, taken].any(axis=1))
        shown_before = [row for row, _ in chosen]
        if present[shown_before, column].any() or not len(candidates):
            continue
        plain = candidates[sizes[candidates] == sizes[candidates].min()]
        chosen.append((int(rng.choice(plain)), classes[column]))
        taken[column] = True
        if len(chosen) == count:
            return chosen
    raise UserError(
        f"neighbors.queries: {count} queries of different classes, but the images give only {len(chosen)}; "
        f"set it to {max(len(chosen), 1)} or fewer"
    )


def write_neighbors(queries: Sequence[ShownQuery], path: Path | str) -> None:
    """Write the lists as CSV, each query itself as rank 0; ids stay as they are, labels are space-joined."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for query in queries:
            for representation, found in query.found.items():
                writer.writerow([query.id, representation, 0, query.id, 0.0, " ".join(query.labels), True])
                for near in found:
                    shares = query.shares_label(near.labels)
                    row = [near.rank, near.id, near.distance, " ".join(near.labels), shares]
                    writer.writerow([query.id, representation, *row])

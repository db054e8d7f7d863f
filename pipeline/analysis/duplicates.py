"""Near-duplicates within a split, and leaks between the splits."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files.atomic import atomic_write
from ..search.exact import ExactSearch, TooManyPairsError
from ..store.feature_file import FeatureFile

_COLUMNS = ["split_a", "id_a", "split_b", "id_b", "similarity", "identical_bytes"]
_MOST_PAIRS = 1_000_000


@dataclasses.dataclass(frozen=True)
class DuplicatePair:
    """Two images that a layer can hardly tell apart.

    Attributes
    ----------
    split_a, id_a, split_b, id_b : str
    similarity : float
        Cosine.
    identical_bytes : bool
        The two files are the same, byte by byte.
    """

    split_a: str
    id_a: str
    split_b: str
    id_b: str
    similarity: float
    identical_bytes: bool


def find_duplicates(files: Sequence[FeatureFile], layer: str, threshold: float) -> list[DuplicatePair]:
    """Every pair with a cosine similarity of at least `threshold`, within each file and between any two.

    Most similar first; equally similar ones by split and id. An image that two splits share is a pair too.

    Raises
    ------
    UserError
        If there are so many that the threshold cannot be meant.
    """
    pairs = []
    searches = [ExactSearch(file.layer(layer), "cosine") for file in files]
    for number, asking in enumerate(files):
        for other in range(number, len(files)):
            found = files[other]
            try:
                asked, rows, distances = searches[other].within(
                    searches[number].vectors, 1 - threshold, most=2 * _MOST_PAIRS
                )
            except TooManyPairsError:
                raise UserError(
                    f"duplicates.threshold: at {threshold} there are more than {_MOST_PAIRS} pairs between "
                    f"{asking.split} and {found.split} in {asking.model}/{layer}; "
                    "raise it, or take a layer that tells images apart"
                ) from None
            for a, b, distance in zip(asked.tolist(), rows.tolist(), distances.tolist(), strict=True):
                if other == number and a >= b:
                    continue
                pairs.append(
                    DuplicatePair(
                        asking.split,
                        str(asking.ids[a]),
                        found.split,
                        str(found.ids[b]),
                        round(1 - distance, 6),
                        bool((asking.digests[a] == found.digests[b]).all()),
                    )
                )
    return sorted(pairs, key=lambda p: (-p.similarity, p.split_a, p.id_a, p.split_b, p.id_b))


def count_duplicates(pairs: Sequence[DuplicatePair], splits: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many pairs, and how many of identical files, there are within and between the splits."""
    kinds = Counter((pair.split_a, pair.split_b) for pair in pairs)
    same = Counter((pair.split_a, pair.split_b) for pair in pairs if pair.identical_bytes)
    names = [(a, b) for number, a in enumerate(splits) for b in splits[number:]]
    return {
        (f"within {a}" if a == b else f"between {a} and {b}"): {
            "identical_bytes": same[a, b],
            "pairs": kinds[a, b],
        }
        for a, b in names
    }


def write_duplicates(pairs: Sequence[DuplicatePair], path: Path | str) -> None:
    """Write the pairs as CSV."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for pair in pairs:
            writer.writerow(
                [
                    pair.split_a,
                    pair.id_a,
                    pair.split_b,
                    pair.id_b,
                    f"{pair.similarity:.6f}",
                    pair.identical_bytes,
                ]
            )

"""Near-duplicates, as the page shows them."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

from ..params import Duplicates
from .precision_tables import read_rows

_PAIRS_LISTED = 50


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images that are nearly the same."""

    a: str
    b: str
    similarity: float
    identical: bool


@dataclasses.dataclass(frozen=True)
class DuplicateReport:
    """How many near-duplicates there are between which splits, and the most similar ones."""

    layer: str
    threshold: float
    counts: tuple[tuple[str, int, int], ...]
    first: tuple[Pair, ...]


def read_duplicates(params: Duplicates, path: Path) -> DuplicateReport | None:
    """Read reports/duplicates/duplicates.csv; None where the stage has not run."""
    if not path.is_file():
        return None
    rows = sorted(read_rows(path), key=lambda row: -float(row["similarity"]))
    pairs: collections.Counter[str] = collections.Counter()
    identical: collections.Counter[str] = collections.Counter()
    first = []
    for row in rows:
        splits = (
            f"within {row['split_a']}"
            if row["split_a"] == row["split_b"]
            else f"{row['split_a']} and {row['split_b']}"
        )
        same = row["identical_bytes"].lower() in {"1", "true", "yes"}
        pairs[splits] += 1
        identical[splits] += same
        first.append(
            Pair(
                f"{row['split_a']}/{row['id_a']}",
                f"{row['split_b']}/{row['id_b']}",
                float(row["similarity"]),
                same,
            )
        )
    counts = tuple((splits, pairs[splits], identical[splits]) for splits in sorted(pairs))
    return DuplicateReport(params.of, params.threshold, counts, tuple(first[:_PAIRS_LISTED]))

"""The most similar pairs, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..analysis.duplicates import DuplicatePair
from .sheets import Tile, draw_sheet

_PAIRS_A_ROW = 4
_MOST_PAIRS = 24


def draw_duplicates(
    pairs: Sequence[DuplicatePair],
    images: Mapping[str, Mapping[str, Path]],
    stem: Path | str,
    *,
    threshold: float,
) -> None:
    """Draw the first pairs, those between two splits before those within one.

    Parameters
    ----------
    pairs : sequence of DuplicatePair
        Most similar first.
    images : {split: {id: path}}
    """
    between = [pair for pair in pairs if pair.split_a != pair.split_b]
    within = [pair for pair in pairs if pair.split_a == pair.split_b]
    shown = [*between, *within][:_MOST_PAIRS]
    rows = []
    for start in range(0, len(shown), _PAIRS_A_ROW):
        tiles: list[Tile | None] = []
        for pair in shown[start : start + _PAIRS_A_ROW]:
            likeness = f"similarity {pair.similarity:.4f}"
            likeness += ", the same file" if pair.identical_bytes else ""
            tiles.append(Tile(images[pair.split_a][pair.id_a], pair.id_a, f"{pair.split_a}\n{likeness}"))
            tiles.append(Tile(images[pair.split_b][pair.id_b], pair.id_b, pair.split_b))
        rows.append(("", tiles))
    across = min(len(shown), _PAIRS_A_ROW)
    draw_sheet(
        rows,
        stem,
        title=f"{len(pairs)} pairs with a cosine similarity of at least {threshold}",
        caption=f"{len(between)} between the splits and {len(within)} within one; "
        + (
            f"the first {len(shown)} are shown, those between the splits first." if shown else "none to show."
        ),
        columns=[("", 2)] * across,
    )

"""The most similar pairs, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..images.address import Address
from ..results.duplicates import DuplicatesResult
from .canvas import save_figure
from .sheets import Tile, compose_sheet

_PAIRS_A_ROW = 4
_MOST_PAIRS = 24
_MOST_GROUPS, _OF_A_GROUP = 8, 8


def draw_duplicates(
    result: DuplicatesResult, images: Mapping[str, Mapping[str, Address]], stem: Path | str
) -> None:
    """Draw the first pairs, those between two splits before those within one.

    Parameters
    ----------
    result : DuplicatesResult
    images : {split: {id: path}}
    stem : path without suffix
    """
    pairs = result.pairs
    between = [pair for pair in pairs if pair.split_a != pair.split_b]
    within = [pair for pair in pairs if pair.split_a == pair.split_b]
    shown = [*between, *within][:_MOST_PAIRS]
    rows = []
    for start in range(0, len(shown), _PAIRS_A_ROW):
        tiles: list[Tile | None] = []
        for pair in shown[start : start + _PAIRS_A_ROW]:
            likeness = f"similarity {pair.similarity:.4f}".replace("-", "−")
            likeness += ", the same file" if pair.identical_bytes else ""
            tiles.append(Tile(images[pair.split_a][pair.id_a], pair.id_a, f"{pair.split_a}\n{likeness}"))
            tiles.append(Tile(images[pair.split_b][pair.id_b], pair.id_b, pair.split_b))
        rows.append(("", tiles))
    said = f"{len(between)} between the splits and {len(within)} within one; "
    said += f"the first {len(shown)} are shown, those between the splits first." if shown else "none to show."
    title = f"{len(pairs)} pairs with a cosine similarity of at least {result.threshold}"
    sheet = compose_sheet(
        rows,
        title=title if result.layer else "No near-duplicates were looked for",
        caption="\n".join([said, *result.gaps] if result.layer else result.gaps),
        columns=[("", 2)] * min(len(shown), _PAIRS_A_ROW),
    )
    save_figure(sheet, stem)


def draw_groups(
    result: DuplicatesResult, images: Mapping[str, Mapping[str, Address]], stem: Path | str
) -> None:
    """Draw the largest groups, a row each; the image to keep stands first.

    Parameters are those of `draw_duplicates`.
    """
    rows = []
    for group in result.groups[:_MOST_GROUPS]:
        tiles: list[Tile | None] = [
            Tile(images[image.split][image.id], image.id, f"{image.split}{', kept' if place == 0 else ''}")
            for place, image in enumerate(group.images[:_OF_A_GROUP])
        ]
        rows.append((f"{len(group.images)} images", tiles))
    grouped = sum(len(group.images) for group in result.groups)
    said = (
        f"{len(rows)} of them are shown, at most {_OF_A_GROUP} images of each." if rows else "None to show."
    )
    sheet = compose_sheet(
        rows,
        title=f"{grouped} images in {len(result.groups)} groups of near-duplicates",
        caption="\n".join([said, *result.gaps]),
        columns=[("", 1)] * max((len(tiles) for _, tiles in rows), default=0),
    )
    save_figure(sheet, stem)

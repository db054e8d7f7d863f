"""The most similar pairs, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..images.address import Address
from ..results.duplicates import DuplicateGroup, DuplicatesResult
from .canvas import save_figure
from .sheets import Tile, compose_sheet

_PAIRS_A_ROW = 4
_MOST_PAIRS = 24
_GROUP_ROWS, _OF_A_GROUP = 8, 8


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
    between = [pair for pair in result.pairs if pair.split_a != pair.split_b]
    within = [pair for pair in result.pairs if pair.split_a == pair.split_b]
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
    everything = sum(count.pairs for count in result.counts)
    across = sum(count.pairs for count in result.counts if count.split_a != count.split_b)
    said = f"{across} between the splits and {everything - across} within one; "
    said += f"the first {len(shown)} are shown, those between the splits first." if shown else "none to show."
    title = f"{everything} pairs with a cosine similarity of at least {result.threshold}"
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
    """Draw the largest groups, small ones side by side; the image to keep stands first.

    Parameters are those of `draw_duplicates`.
    """
    groups = result.groups
    wide = min(max((len(group.images) for group in groups), default=1), _OF_A_GROUP)
    across = _OF_A_GROUP // wide
    shown = groups[: _GROUP_ROWS * across]
    rows = []
    for start in range(0, len(shown), across):
        tiles = [_group_tiles(group, images, wide) for group in shown[start : start + across]]
        rows.append(("", [tile for group in tiles for tile in group]))
    grouped = sum(len(group.images) for group in groups)
    said = f"The {len(shown)} largest are shown, at most {_OF_A_GROUP} images of each; " if shown else ""
    said += "below the image that is kept, the least similarity of another one to it." if shown else ""
    sheet = compose_sheet(
        rows,
        title=f"{grouped} images in {len(groups)} groups of near-duplicates",
        caption="\n".join([said or "None to show.", *result.gaps]),
        columns=[("", wide)] * min(len(shown), across),
    )
    save_figure(sheet, stem)


def _group_tiles(
    group: DuplicateGroup, images: Mapping[str, Mapping[str, Address]], wide: int
) -> list[Tile | None]:
    """A tile each of the first images, and nothing up to `wide`."""
    tiles: list[Tile | None] = []
    for place, image in enumerate(group.images[:wide]):
        kept = f", kept of {len(group.images)}\nleast similarity {group.least_similarity:.4f}"
        note = image.split + (kept if place == 0 else "").replace("-", "−")
        tiles.append(Tile(images[image.split][image.id], image.id, note))
    return tiles + [None] * (wide - len(tiles))

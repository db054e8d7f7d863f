"""Odd and typical images as sheets, and the distances that the odd ones are told by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..images.address import Address
from ..results.outliers import Compared, OddImage, OddInLayer, OddLooks, TypicalOfClass
from .canvas import new_figure, save_figure
from .sheets import Tile, compose_sheet

_ACROSS = 8
_ROWS = 2  # of a split's odd images
_GROUPS = 4
_CLASSES = 24  # of more, those with the most images are drawn
_BAR, _ODD = "#9aa7b4", "#d55e00"
_COLUMNS = [("", _ACROSS)]

Images = Mapping[str, Mapping[str, Address]]


def draw_odd(parts: Sequence[OddInLayer], images: Images, cut: float, stem: Path | str) -> None:
    """Draw the farthest images of each split and its isolated groups.

    Parameters
    ----------
    parts : sequence of OddInLayer
        Of one layer.
    images : {split: {id: address}}
    cut : float
    stem : path without suffix
    """
    rows: list[tuple[str, list[Tile | None]]] = []
    for part in parts:
        shown = part.odd[: _ROWS * _ACROSS]
        tiles = [_odd_tile(image, part.distances, images, cut) for image in shown]
        rows += _in_rows(f"{part.split}, farthest first", tiles)
        for number, group in enumerate(part.groups[:_GROUPS], 1):
            note = f"{part.split}, isolated group {number}: {group.images} images"
            told = f"the group to others: {group.odd.value:.3f}\n{_score(group.odd)}"
            members = [Tile(images[part.split][name], name) for name in group.ids[:_ACROSS]]
            rows += _in_rows(note, [Tile(members[0].image, members[0].title, told), *members[1:]])
    first = parts[0]
    sheet = compose_sheet(
        rows,
        title=f"{first.layer}: images far from all others of their split",
        caption=f"Below each image its distance to neighbor {first.k}, its place, and how many spreads it is "
        f"above the median of its split; ✗: more than {cut}, which is unusual. A group is isolated if its "
        "distance to any other image is as unusual among the distances of all images to their nearest.",
        columns=_COLUMNS,
    )
    save_figure(sheet, stem)


def draw_typical(part: OddInLayer, images: Mapping[str, Address], stem: Path | str) -> None:
    """Draw the most typical images of each class; `images` is {id: address}."""
    there = [of for of in part.typical if of.typical]  # of a class that is spread no image is
    classes = sorted(there, key=lambda of: -of.images)[:_CLASSES]
    shown = {of.class_name for of in classes}
    rows = [(of.class_name, _typical_tiles(of, images)) for of in there if of.class_name in shown]
    some = f" Of {len(there)} classes the {_CLASSES} with the most images are drawn."
    sheet = compose_sheet(
        rows,
        title=f"{part.layer}: the most typical images of each class, {part.split}",
        caption=f"An image is typical of a class if many images of the class have it among their {part.k} "
        "nearest; so many have it, and so many have the image in the middle."
        + (some if len(shown) < len(there) else ""),
    )
    save_figure(sheet, stem)


def draw_looks(looks: Sequence[OddLooks], images: Images, stem: Path | str) -> None:
    """Draw the odd pictures of each kind; `images` is {split: {id: address}}."""
    rows: list[tuple[str, list[Tile | None]]] = []
    for look in looks:
        tiles = [_look_tile(image, look, images) for image in look.odd[:_ACROSS]]
        rows += _in_rows(f"{look.kind}: {look.beyond}", tiles)
    sheet = compose_sheet(
        rows,
        title="Pictures that look unlike the others" if rows else "No picture looks unlike the others",
        caption="Below each picture its value, and that of the picture in the middle of the data set.",
        columns=_COLUMNS if rows else (),
    )
    save_figure(sheet, stem)


def draw_distances(parts: Sequence[OddInLayer], cut: float, stem: Path | str) -> None:
    """Draw how the distances of all images are spread, and from where they are unusual."""
    figure = new_figure(7.0, 0.7 + 1.35 * len(parts))
    figure.suptitle(f"{parts[0].layer}: distance to neighbor {parts[0].k}", x=0.01, ha="left", fontsize=10)
    every = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
    for axes, part in zip(every, parts, strict=True):
        among = part.distances
        edges = np.linspace(*among.edges, len(among.counts) + 1)
        line = among.median + cut * among.spread
        colours = [_ODD if edge >= line else _BAR for edge in edges[:-1]]
        axes.bar(edges[:-1], among.counts, np.diff(edges), align="edge", color=colours)
        axes.axvline(among.median, color="#333333", linewidth=0.8)
        axes.axvline(line, color=_ODD, linewidth=1.2, linestyle="--")
        axes.set_yscale("symlog", linthresh=1)  # one odd image is seen beside a thousand others
        axes.set_ylim(0)
        axes.yaxis.set_major_formatter(lambda count, _: f"{count:g}")
        axes.set_ylabel(f"images of\n{part.split}")
        axes.set_title(f"{part.beyond} of {among.images} beyond the dashed line", loc="right", fontsize=8)
    every[-1].set_xlabel(
        f"line: the median; dashed: {cut} spreads above it, from where a distance is unusual"
    )
    save_figure(figure, stem)


def _in_rows(label: str, tiles: Sequence[Tile]) -> list[tuple[str, list[Tile | None]]]:
    starts = range(0, len(tiles), _ACROSS)
    return [("" if start else label, list(tiles[start : start + _ACROSS])) for start in starts]


def _odd_tile(image: OddImage, among: Compared, images: Images, cut: float) -> Tile:
    note = f"{image.value:.3f}, {image.rank} of {among.images}\n{_score(image)}"
    unusual = image.score is not None and image.score > cut
    return Tile(images[image.split][image.id], image.id, note, "miss" if unusual else "plain")


def _typical_tiles(of: TypicalOfClass, images: Mapping[str, Address]) -> list[Tile | None]:
    return [
        Tile(images[image.id], image.id, f"{image.named_by} of {of.images - 1}, middle {of.median:g}")
        for image in of.typical
    ]


def _look_tile(image: OddImage, look: OddLooks, images: Images) -> Tile:
    note = f"{image.split}\n{image.value:.3g}, middle {look.compared.median:.3g}"
    return Tile(images[image.split][image.id], image.id, note)


def _score(image: OddImage) -> str:
    return "all are alike" if image.score is None else f"{image.score:.1f} spreads".replace("-", "−")

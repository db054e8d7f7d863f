"""Contact sheets: rows of captioned images, the same bytes for the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from ..images.address import Address
from ..images.image_file import read_image
from .canvas import new_figure
from .lettering import POINT, shortened, width_of, wrapped

Frame = Literal["query", "hit", "miss", "plain"]

# blue against orange is told apart by every kind of colour vision; the marks say it once more without colour
_COLOUR: dict[Frame, str] = {"query": "#111111", "hit": "#0072b2", "miss": "#d55e00", "plain": "#c8c8c8"}
_WIDTH: dict[Frame, float] = {"query": 3.0, "hit": 2.0, "miss": 2.0, "plain": 0.8}
_MARK: dict[Frame, str] = {"query": "query", "hit": "✓", "miss": "✗", "plain": ""}
# what the frames of a neighbor sheet say
NEIGHBOR_LEGEND: Mapping[Frame, str] = {
    "query": "the query",
    "hit": "shares a label with the query",
    "miss": "shares none",
}

# everything in inches
_CELL = (1.36, 1.14)
_GAP = 0.12
_GROUP_GAP = 0.30
_MARGIN = 0.22
_SIDE = 1.15
_TITLE_SIZE = 7.5
_NOTE_SIZE = 6.8
_WORDS_SIZES = (9.0, 7.5, 6.0)
_PADDING = 0.08
_LINE = 1.32  # line height over font size
_PIXELS_PER_INCH = 200


@dataclasses.dataclass(frozen=True)
class Tile:
    """One image of a sheet: a line above it (`title`), wrapped text below (`note`), and how it is framed.

    In the place of an image there may be words.
    """

    image: Address | str
    title: str
    note: str = ""
    frame: Frame = "plain"


def compose_sheet(
    rows: Sequence[tuple[str, Sequence[Tile | None]]],
    *,
    title: str,
    caption: str = "",
    columns: Sequence[tuple[str, int]] = (),
    legend: Mapping[Frame, str] | None = None,
) -> Figure:
    """The figure of `rows` of tiles; without rows it has a title and a caption only.

    Parameters
    ----------
    rows : sequence of (label, tiles)
        A row without a label belongs to the row above and stands closer to it. None leaves a place empty.
    title, caption : str
        Above and below the tiles; the caption is wrapped.
    columns : sequence of (heading, number of tiles)
        Groups of columns, from the left; a gap and a heading set them apart.
    legend : mapping
        What a frame means on this sheet; drawn below the tiles.

    Raises
    ------
    UserError
        If an image is missing or cannot be read.
    """
    at = _lay_out(rows, title, caption, columns, bool(legend))
    figure = new_figure(at.width, at.height)
    figure.set_layout_engine("none")  # every place is computed here
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, at.width), ylim=(at.height, 0))
    axes.set_axis_off()
    _text(axes, _MARGIN, _MARGIN, at.head, 11, weight="bold")
    for number, lines in enumerate(at.headings):
        first = sum(count for _, count in columns[:number])
        _text(axes, at.lefts[first], at.headings_end - _height(lines, 9), lines, 9, weight="bold")
    for top, (label, tiles) in zip(at.row_tops, rows, strict=True):
        beside = wrapped(label, _SIDE - 0.12, 8, bold=True)
        _text(axes, _MARGIN, top + _title_height(), beside, 8, weight="bold")
        for left, tile in zip(at.lefts, tiles, strict=False):
            if tile:
                _draw_tile(axes, tile, left, top)
    _draw_legend(axes, legend or {}, at.legend_top)
    _text(axes, _MARGIN, at.foot_top, at.foot, _NOTE_SIZE + 0.5, color="#555555")
    return figure


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where everything stands on a sheet, from its top left; and its words, wrapped."""

    width: float
    height: float
    lefts: list[float]
    head: list[str]
    headings: list[list[str]]
    headings_end: float
    row_tops: list[float]
    legend_top: float
    foot: list[str]
    foot_top: float


def _lay_out(
    rows: Sequence[tuple[str, Sequence[Tile | None]]],
    title: str,
    caption: str,
    columns: Sequence[tuple[str, int]],
    has_legend: bool,
) -> _Layout:
    side = _SIDE if any(label for label, _ in rows) else 0.0
    most = max((len(tiles) for _, tiles in rows), default=0)
    lefts = _column_positions(max(most, sum(count for _, count in columns), 1), columns, _MARGIN + side)
    width = max(lefts[-1] + _CELL[0] + _MARGIN, 5.0)
    head = wrapped(title, width - 2 * _MARGIN, 11, bold=True)
    foot = wrapped(caption, width - 2 * _MARGIN, _NOTE_SIZE + 0.5)
    headings = [wrapped(text, _span(lefts, columns, n), 9, bold=True) for n, (text, _) in enumerate(columns)]
    headings_end = _MARGIN + _height(head, 11) + 0.08
    headings_end += max((_height(lines, 9) for lines in headings), default=0.0)
    row_tops, y = [], headings_end + (0.06 if columns else 0.0)
    for number, (label, tiles) in enumerate(rows):
        y += 0.22 if number and label else 0.0
        row_tops.append(y)
        y += _row_height(label, tiles)
    legend_top = y + 0.04
    foot_top = legend_top + (0.24 if has_legend else 0.0)
    height = foot_top + _height(foot, _NOTE_SIZE + 0.5) + _MARGIN
    return _Layout(width, height, lefts, head, headings, headings_end, row_tops, legend_top, foot, foot_top)


def _column_positions(count: int, columns: Sequence[tuple[str, int]], start: float) -> list[float]:
    """The left edge of each column; a gap stands before each group but the first."""
    begins = {int(n) for n in np.cumsum([size for _, size in columns])}
    lefts, x = [], start
    for column in range(count):
        x += _GROUP_GAP if column in begins else 0.0
        lefts.append(x)
        x += _CELL[0] + _GAP
    return lefts


def _span(lefts: list[float], columns: Sequence[tuple[str, int]], group: int) -> float:
    """The width of one group of columns."""
    first = sum(count for _, count in columns[:group])
    return lefts[first + columns[group][1] - 1] + _CELL[0] - lefts[first]


def _title_height() -> float:
    return _TITLE_SIZE * _LINE * POINT + 0.03


def _row_height(label: str, tiles: Sequence[Tile | None]) -> float:
    notes = max(
        (_height(wrapped(tile.note, _CELL[0], _NOTE_SIZE), _NOTE_SIZE) for tile in tiles if tile), default=0
    )
    beside = _height(wrapped(label, _SIDE - 0.12, 8, bold=True), 8)
    return _title_height() + max(_CELL[1] + 0.05 + notes, beside) + 0.08


def _draw_tile(axes: Axes, tile: Tile, left: float, top: float) -> None:
    width, height = _CELL
    mark = _MARK[tile.frame]
    room = width - (width_of(mark, _TITLE_SIZE, True) + 0.06 if mark else 0.0)
    _text(axes, left, top, [shortened(tile.title, room, _TITLE_SIZE)], _TITLE_SIZE)
    if mark:
        ink = _COLOUR[tile.frame]
        _text(axes, left + width, top, [mark], _TITLE_SIZE, color=ink, weight="bold", align="right")
    top += _title_height()
    axes.add_patch(Rectangle((left, top), width, height, facecolor="#f1f1f1", edgecolor="none"))
    if isinstance(tile.image, Address):
        _draw_image(axes, tile.image, left, top)
    else:
        _draw_words(axes, tile.image, left, top)
    frame = Rectangle((left, top), width, height, facecolor="none", zorder=3, joinstyle="miter")
    frame.set(edgecolor=_COLOUR[tile.frame], linewidth=_WIDTH[tile.frame])
    axes.add_patch(frame)
    _text(axes, left, top + height + 0.05, wrapped(tile.note, width, _NOTE_SIZE), _NOTE_SIZE, color="#333333")


def _draw_image(axes: Axes, address: Address, left: float, top: float) -> None:
    width, height = _CELL
    image = _thumbnail(address)
    scale = min(width / image.shape[1], height / image.shape[0])
    w, h = image.shape[1] * scale, image.shape[0] * scale
    x, y = left + (width - w) / 2, top + (height - h) / 2
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(image, extent=(x, x + w, y + h, y), aspect="auto", interpolation="antialiased", zorder=2)
    axes.set(xlim=limits[0], ylim=limits[1])  # imshow moves them to the image


def _draw_words(axes: Axes, words: str, left: float, top: float) -> None:
    """In the largest size in which they fit; what fits in none is cut."""
    width, height = (side - 2 * _PADDING for side in _CELL)
    for size in _WORDS_SIZES:
        lines = wrapped(words, width, size)
        if _height(lines, size) <= height:
            break
    else:
        room = int(height / (size * _LINE * POINT))
        lines = [*lines[: room - 1], lines[room - 1] + " …"] if len(lines) > room else lines
    _text(axes, left + _PADDING, top + _PADDING + (height - _height(lines, size)) / 2, lines, size)


def _draw_legend(axes: Axes, legend: Mapping[Frame, str], top: float) -> None:
    x = _MARGIN
    for frame, meaning in legend.items():
        _text(axes, x, top, [_MARK[frame]], 8, color=_COLOUR[frame], weight="bold")
        x += width_of(_MARK[frame], 8, True) + 0.06
        _text(axes, x, top, [meaning], 8, color="#333333")
        x += width_of(meaning, 8) + 0.25


def _thumbnail(address: Address) -> np.ndarray:
    image = Image.fromarray(read_image(address))
    size = (round(_CELL[0] * _PIXELS_PER_INCH), round(_CELL[1] * _PIXELS_PER_INCH))
    image.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(image)


def _text(
    axes: Axes,
    x: float,
    y: float,
    lines: Sequence[str],
    size: float,
    *,
    color: str = "black",
    weight: str = "normal",
    align: Literal["left", "right"] = "left",
) -> None:
    """Lines of text whose first line's top is at `y`."""
    for number, line in enumerate(lines):
        baseline = y + (number * _LINE + 1.0) * size * POINT
        style: dict[str, Any] = {"fontsize": size, "color": color, "weight": weight, "ha": align}
        axes.text(x, baseline, line, va="baseline", **style)


def _height(lines: Sequence[str], size: float) -> float:
    return len(lines) * size * _LINE * POINT

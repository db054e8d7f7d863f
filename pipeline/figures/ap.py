"""Average precision as dots with intervals: models by class, and what separates them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..files.hints import some_of
from ..results.ap import ApDifference, ApResult, ApRow, protocol_of
from .canvas import new_figure, save_figure
from .lettering import shortened, width_of
from .model_marks import mark_of

# Okabe and Ito's colours, which every kind of colour vision tells apart; the markers say it once more
_SPACING = 0.13  # inches between two models of a class
_GROUP_GAP = 0.14  # inches between two classes
_MOST_CLASSES = 40  # in a figure; of more, the ends
_NAME = 2.0  # inches for the name of a class or model


def draw_ap(result: ApResult, measure: str, stem: Path | str) -> None:
    """Draw every model's AP on every class with its interval, and chance, to `stem`.png and `stem`.svg.

    Classes without AP are named below; the others stand in the order of their highest AP, the highest and
    the lowest where there are more than 40.
    """
    rows, (names, left_out) = result.by_class(measure), _ends(_highest_first(result, measure))
    figure, axes, places = _rows_of_classes(result, measure, names, len(result.models))
    for name, top in places.items():
        for number, row in enumerate(rows[name]):
            _dot(axes, top + number * _SPACING, row, row.ap, number)
        bottom = top + (len(result.models) - 1) * _SPACING + _GROUP_GAP / 3
        chance = rows[name][0].chance or 0
        axes.plot([chance, chance], [top - _GROUP_GAP / 3, bottom], color="#777777", linewidth=1.2, zorder=1)
    axes.set_xlim(-0.01, 1.01)
    chance_key = Line2D([], [], color="#777777", linewidth=1.2, label="chance")
    protocol = protocol_of(measure)
    label = f"average precision ({protocol}) with 95 % bootstrap interval over images; in brackets: positives"
    lines = [label, left_out, _without_ap(result, measure)]
    _finish(figure, axes, [*_keys(result.models), chance_key], lines)
    save_figure(figure, stem)


def draw_differences(result: ApResult, measure: str, stem: Path | str) -> None:
    """Draw every model's AP minus the first model's, with paired intervals, to `stem`.png and `stem`.svg.

    A filled marker says that the interval leaves zero out. With one model only there is nothing to compare,
    and the figure says so.
    """
    baseline, *others = result.models
    pairs = result.pairs(measure)
    rows = {(row.class_name, model): row for model in others for row in pairs[model, baseline]}
    names = _highest_first(result, measure)
    names.sort(key=lambda name: -max((rows[name, model].difference or 0 for model in others), default=0))
    names, left_out = _ends(names)
    figure, axes, places = _rows_of_classes(result, measure, names, max(len(others), 1))
    axes.axvline(0, color="#777777", linewidth=1.2, zorder=1)
    for number, model in enumerate(others, start=1):
        for name, top in places.items():
            row = rows[name, model]
            y = top + (number - 1) * _SPACING
            _dot(axes, y, row, row.difference, number, filled=row.beyond_noise)
    protocol = protocol_of(measure)
    label = f"average precision ({protocol}) minus that of {baseline}, with 95 % paired bootstrap interval"
    note = "filled: beyond noise" if others else "there is only one model: nothing to compare"
    _finish(figure, axes, _keys(result.models)[1:], [label, note, left_out, _without_ap(result, measure)])
    save_figure(figure, stem)


def _highest_first(result: ApResult, measure: str) -> list[str]:
    """The classes with AP, the highest of any model first."""
    rows = result.by_class(measure)
    highest = {
        name: max(row.ap for row in rows[name] if row.ap is not None)
        for name in result.classes
        if any(row.ap is not None for row in rows[name])
    }
    return sorted(highest, key=lambda name: -highest[name])


def _rows_of_classes(
    result: ApResult, measure: str, names: Sequence[str], rows_each: int
) -> tuple[Figure, Axes, dict[str | None, float]]:
    """A figure with a band for the mean (None) and each class: y in inches from the top, downwards."""
    pitch = rows_each * _SPACING + _GROUP_GAP
    height = pitch * (len(names) + 1.5)
    figure = new_figure(7.2, height + 1.1)
    axes = figure.add_subplot(ylim=(height, 0))
    places: dict[str | None, float] = {
        name: _GROUP_GAP + pitch * (place + (0.5 if place else 0))
        for place, name in enumerate([None, *names])
    }
    middle = (rows_each - 1) * _SPACING / 2
    rows = result.by_class(measure)
    labels = [
        result.called(name) if name is None else f"{shortened(name, _NAME, 9)} ({rows[name][0].positives})"
        for name in places
    ]
    axes.set_yticks([top + middle for top in places.values()], labels)
    axes.get_yticklabels()[0].set_fontweight("bold")
    for place, top in enumerate(places.values()):
        if place % 2:
            axes.axhspan(top - 0.75 * _GROUP_GAP, top - 0.75 * _GROUP_GAP + pitch, color="#f5f5f5", zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes, places


def _dot(
    axes: Axes, y: float, row: ApRow | ApDifference, value: float | None, number: int, *, filled: bool = True
) -> None:
    colour, marker = mark_of(number)
    if row.lo is not None and row.hi is not None:
        axes.plot([row.lo, row.hi], [y, y], color=colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
    if value is not None:
        face = colour if filled else "white"
        axes.plot(value, y, marker, color=colour, markerfacecolor=face, markersize=4.2, zorder=3)


def _keys(models: Sequence[str]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=mark_of(number)[0],
            marker=mark_of(number)[1],
            markersize=4.5,
            linewidth=1.3,
            label=shortened(model, _NAME, 9),
        )
        for number, model in enumerate(models)
    ]


def _without_ap(result: ApResult, measure: str) -> str:
    rows = result.by_class(measure)
    missing = [name for name in result.classes if all(row.ap is None for row in rows[name])]
    return f"no positives, so no AP: {some_of(missing)}" if missing else ""


def _ends(names: Sequence[str]) -> tuple[list[str], str]:
    """Not more classes than a figure can show, from both ends; and what it then says of it."""
    if len(names) <= _MOST_CLASSES:
        return list(names), ""
    half = _MOST_CLASSES // 2
    told = f"the {half} classes at the top and the {half} at the bottom of {len(names)}; ap.csv has all"
    return [*names[:half], *names[-half:]], told


def _finish(figure: Figure, axes: Axes, keys: Sequence[Line2D], lines: Sequence[str]) -> None:
    if keys:
        figure.legend(handles=keys, loc="outside upper center", ncols=min(len(keys), 4), frameon=False)
    longest = max(width_of(label.get_text(), 9) for label in axes.get_yticklabels())
    letters = min(100, int(16.6 * (6.95 - longest)))  # what has room below the axes beside these names
    text = "\n".join(part for line in lines for part in textwrap.wrap(line, letters))
    axes.set_xlabel(text, linespacing=1.5)

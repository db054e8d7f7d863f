"""Average precision as dots with intervals: models by class, and what separates them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.ap_comparison import MEAN, ApComparison
from ..params import Protocol
from .canvas import new_figure, save_figure

# Okabe and Ito's colours, which every kind of colour vision tells apart; the markers say it once more
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
_SPACING = 0.13  # inches between two models of a class
_GROUP_GAP = 0.14  # inches between two classes


def draw_ap(comparison: ApComparison, protocol: Protocol, stem: Path | str) -> None:
    """Draw every model's AP on every class with its interval, and chance, to `stem`.png and `stem`.svg.

    Classes without AP are named below; the others stand in the order of their highest AP.
    """
    names, missing = _order(comparison, protocol)
    figure, axes, places = _rows_of_classes(comparison, [MEAN, *names], len(comparison.models))
    for number, model in enumerate(comparison.models):
        for name, top in places.items():
            row = comparison.row(name, model, protocol)
            _dot(axes, top + number * _SPACING, row.ap, row.lo, row.hi, number)
    low, high = _ends(places, len(comparison.models))
    for name in places:
        chance = comparison.row(name, comparison.models[0], protocol).chance
        axes.plot([chance, chance], [low[name], high[name]], color="#777777", linewidth=1.2, zorder=1)
    axes.set_xlim(-0.01, 1.01)
    chance_key = Line2D([], [], color="#777777", linewidth=1.2, label="chance")
    label = f"average precision ({protocol}) with 95 % bootstrap interval over images; in brackets: positives"
    _finish(figure, axes, [*_keys(comparison.models), chance_key], [label, _without_ap(missing)])
    save_figure(figure, stem)


def draw_differences(comparison: ApComparison, protocol: Protocol, stem: Path | str) -> None:
    """Draw every model's AP minus the first model's, with paired intervals, to `stem`.png and `stem`.svg.

    A filled marker says that the interval leaves zero out. With one model only there is nothing to compare,
    and the figure says so.
    """
    baseline, *others = comparison.models
    rows = {
        (row.class_name, row.model): row
        for row in comparison.differences
        if (row.protocol, row.baseline) == (protocol, baseline)
    }
    names, missing = _order(comparison, protocol)
    names.sort(key=lambda name: -max((rows[name, model].difference for model in others), default=0))
    figure, axes, places = _rows_of_classes(comparison, [MEAN, *names], max(len(others), 1))
    axes.axvline(0, color="#777777", linewidth=1.2, zorder=1)
    for number, model in enumerate(others, start=1):
        for name, top in places.items():
            row = rows[name, model]
            y = top + (number - 1) * _SPACING
            _dot(axes, y, row.difference, row.lo, row.hi, number, filled=row.beyond_noise)
    label = f"average precision ({protocol}) minus that of {baseline}, with 95 % paired bootstrap interval"
    note = "filled: beyond noise" if others else "there is only one model: nothing to compare"
    _finish(figure, axes, _keys(comparison.models)[1:], [label, note, _without_ap(missing)])
    save_figure(figure, stem)


def _order(comparison: ApComparison, protocol: Protocol) -> tuple[list[str], list[str]]:
    """The classes with AP, the highest first, and those without."""
    highest = {
        name: max(comparison.row(name, model, protocol).ap for model in comparison.models)
        for name in comparison.classes
    }
    names = [name for name, ap in highest.items() if not math.isnan(ap)]
    return sorted(names, key=lambda name: -highest[name]), [n for n in highest if n not in names]


def _rows_of_classes(
    comparison: ApComparison, names: Sequence[str], rows_each: int
) -> tuple[Figure, Axes, dict[str, float]]:
    """A figure with a band for each class: y in inches from the top, growing downwards."""
    pitch = rows_each * _SPACING + _GROUP_GAP
    height = pitch * (len(names) + 0.5)
    figure = new_figure(7.2, height + 1.1)
    axes = figure.add_subplot(ylim=(height, 0))
    places = {name: _GROUP_GAP + pitch * (place + (0.5 if place else 0)) for place, name in enumerate(names)}
    middle = (rows_each - 1) * _SPACING / 2
    model, protocol = comparison.models[0], comparison.protocols[0]
    positives = {name: comparison.row(name, model, protocol).positives for name in places}
    labels = [name if name == MEAN else f"{name} ({positives[name]})" for name in places]
    axes.set_yticks([top + middle for top in places.values()], labels, parse_math=False)
    axes.get_yticklabels()[0].set_fontweight("bold")
    for place, top in enumerate(places.values()):
        if place % 2:
            axes.axhspan(top - 0.75 * _GROUP_GAP, top - 0.75 * _GROUP_GAP + pitch, color="#f5f5f5", zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes, places


def _ends(places: dict[str, float], rows_each: int) -> tuple[dict[str, float], dict[str, float]]:
    span = (rows_each - 1) * _SPACING + _GROUP_GAP / 3
    return (
        {name: top - _GROUP_GAP / 3 for name, top in places.items()},
        {name: top + span for name, top in places.items()},
    )


def _dot(
    axes: Axes, y: float, value: float, lo: float, hi: float, number: int, *, filled: bool = True
) -> None:
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    axes.plot([lo, hi], [y, y], color=colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
    face = colour if filled else "white"
    axes.plot(value, y, marker, color=colour, markerfacecolor=face, markersize=4.2, zorder=3)


def _keys(models: Sequence[str]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4.5,
            linewidth=1.3,
            label=model,
        )
        for number, model in enumerate(models)
    ]


def _without_ap(missing: Sequence[str]) -> str:
    return f"no positives, so no AP: {', '.join(missing)}" if missing else ""


def _finish(figure: Figure, axes: Axes, keys: Sequence[Line2D], lines: Sequence[str]) -> None:
    if keys:
        figure.legend(handles=keys, loc="outside upper center", ncols=min(len(keys), 4), frameon=False)
    text = "\n".join(part for line in lines for part in textwrap.wrap(line, 100))
    axes.set_xlabel(text, parse_math=False, linespacing=1.5)

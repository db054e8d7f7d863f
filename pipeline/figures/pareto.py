"""What an index finds against what it costs, setting by setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogFormatter

from ..search.quality import OperatingPoint, pareto_front
from .canvas import new_figure, save_figure

_COLOURS = ("#56b4e9", "#0072b2", "#000000")


def draw_pareto(
    points: Sequence[OperatingPoint],
    chosen: OperatingPoint,
    rows: int,
    stem: Path | str,
    *,
    title: str,
    bytes_per_vector: float,
) -> None:
    """Draw recall at each depth against comparisons a query, and write `stem`.png and `stem`.svg.

    Parameters
    ----------
    points : sequence of OperatingPoint
    chosen : OperatingPoint
        The recommended one; marked.
    rows : int
        Of the database: what exact search compares.
    """
    figure = new_figure(8.0, 4.0)
    axes = figure.add_subplot()
    front = pareto_front(points)
    for depth, colour in zip(sorted(chosen.recall), _COLOURS, strict=False):
        along = [(point.compared, point.recall[depth]) for point in front]
        every = [(point.compared, point.recall[depth]) for point in points]
        axes.plot(*np.transpose(every), "o", ms=3, mew=0, color=colour, alpha=0.35)
        axes.plot(*np.transpose(along), marker="o", ms=3.5, lw=1.2, color=colour, label=f"recall@{depth}")
    main = chosen.recall.get(10, chosen.recall[1])
    axes.plot(
        chosen.compared, main, "o", ms=11, mfc="none", mec="#d55e00", mew=1.6, label=f"chosen: {chosen.name}"
    )
    axes.axvline(rows, color="#888888", lw=1, ls=":", label=f"exact search: {rows} vectors")
    axes.set_xscale("log")
    for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatted(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))
    axes.set_ylim(min(0.5, *(min(p.recall.values()) for p in points)) - 0.02, 1.02)
    axes.set_xlabel("vectors compared with a query (log scale)")
    axes.set_ylabel("recall against exact search")
    axes.set_title(f"{title}: {bytes_per_vector:.0f} bytes a vector", loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, loc="outside right upper")
    save_figure(figure, stem)

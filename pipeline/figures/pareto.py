"""What an index finds against what it costs, setting by setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import LogFormatter

from ..results.index_quality import IndexQuality
from .canvas import new_figure, save_figure

_COLOURS = ("#56b4e9", "#0072b2", "#000000")


def draw_pareto(quality: IndexQuality, stem: Path | str) -> None:
    """Draw recall at each depth against comparisons a query, and write `stem`.png and `stem`.svg.

    Nothing is drawn where nothing could be measured.
    """
    points, chosen, rows = quality.points, quality.chosen, quality.rows
    if chosen is None:
        return
    figure = new_figure(8.0, 4.0)
    axes = figure.add_subplot()
    for depth, colour in zip(sorted(chosen.recall, key=int), _COLOURS, strict=False):
        every = [(point.compared, point.recall[depth]) for point in points]
        front = sorted((point.compared, point.recall[depth]) for point in points if point.on_front)
        axes.plot(*np.transpose(every), "o", ms=3, mew=0, color=colour, alpha=0.35)
        axes.plot(*np.transpose(front), marker="o", ms=3.5, lw=1.2, color=colour, label=f"recall@{depth}")
    cost, found, label = chosen.compared, chosen.main_recall, f"chosen: {chosen.name}"
    axes.plot(cost, found, "o", ms=11, mfc="none", mec="#d55e00", mew=1.6, label=label)
    axes.axvline(rows, color="#888888", lw=1, ls=":", label=f"exact search: {rows} vectors")
    axes.set_xscale("log")
    costs = [rows, *(point.compared for point in points)]
    axes.set_xlim(0.8 * min(costs), 1.25 * max(costs))  # a single point alone would give an axis of no length
    for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatted(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))
    axes.set_ylim(min(0.5, *(min(p.recall.values()) for p in points)) - 0.02, 1.02)
    axes.set_xlabel("vectors compared with a query (log scale)")
    axes.set_ylabel("recall against exact search")
    size = f"{quality.bytes_per_vector:.0f} bytes a vector"
    axes.set_title(f"{quality.layer}, {quality.factory}: {size}", loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, loc="outside right upper")
    save_figure(figure, stem)

"""Average precision against the number of training images a class: a line a probe, with its band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ..results.ap import LEVEL
from ..results.few_shot import FewShotResult, FewShotRow
from .canvas import new_figure, save_figure
from .lettering import shortened
from .model_marks import mark_of


def draw_few_shot(results: Sequence[FewShotResult], stem: Path | str) -> None:
    """Draw the mAP of each probe under the first measure, to `stem`.png and `stem`.svg.

    The number of images is on a logarithmic axis; beyond it stands what the whole training split gives.
    Nothing is drawn where no probe has a mAP.
    """
    results = [result for result in results if result.has_values]
    if not results:
        return
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    numbers = sorted({n for result in results for n in result.shots})
    whole = 2 * numbers[-1]  # the place of the whole split
    measure = results[0].measures[0]
    for number, result in enumerate(results):
        _line(axes, number, result.probe, result.by_class(measure)[None], whole)
    axes.set_xscale("log", base=2)
    axes.set_xticks([*numbers, whole], [*map(str, numbers), "all"])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.set_xlabel(
        f"images of each class, drawn from {results[0].split} (log scale); all: the whole split\n"
        f"band: {100 * LEVEL:.0f} % t-interval of the mean over the draws",
        linespacing=1.5,
    )
    axes.set_ylabel(f"mean over classes of {measure} on test")
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    save_figure(figure, stem)


def _line(axes: Axes, number: int, probe: str, rows: Sequence[FewShotRow], whole: int) -> None:
    """Draw the rows of one probe, fewest images first; `whole` is the place of the last."""
    colour, marker = mark_of(number)
    points = np.array([(row.shots or whole, row.ap) for row in rows], np.float64)
    label = shortened(probe, 1.6, 9)
    axes.plot(*points[:-1].T, color=colour, marker=marker, markersize=4.5, linewidth=1.4, label=label)
    axes.plot(*points[-2:].T, color=colour, marker=marker, markersize=4.5, linewidth=1.1, linestyle=":")
    band = np.array([(row.shots, row.lo, row.hi) for row in rows if row.lo is not None])
    if len(band):
        axes.fill_between(band[:, 0], band[:, 1], band[:, 2], color=colour, alpha=0.18, linewidth=0)

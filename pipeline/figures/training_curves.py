"""Trainings by epoch, a figure a metric and a line a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .canvas import new_figure
from .lettering import shortened

METRICS = {"loss": "training loss", "lr": "learning rate", "val_map": "mAP on the images held out"}
_MARKERS = "os^DvPX"  # which say once more what the colours say
_FEW = 15  # epochs, up to which each is marked


def training_figure(metric: str, curves: Mapping[str, Sequence[float | None]]) -> Figure | None:
    """Draw one of `METRICS` by epoch; None where no model has it.

    Parameters
    ----------
    metric : str
    curves : {model: a value an epoch, None where there is none}
        A model's colour is decided by its place here.
    """
    colours = mpl.color_sequences["okabe_ito"]
    figure = new_figure(4.2, 2.9)
    axes = figure.add_subplot()
    for number, (model, values) in enumerate(curves.items()):
        known = [(epoch, value) for epoch, value in enumerate(values, start=1) if value is not None]
        if known:
            line = axes.plot(
                *zip(*known, strict=True), color=colours[number % len(colours)], label=shortened(model, 2, 8)
            )[0]
            line.set(linewidth=1.4, markersize=3.5)
            if len(known) <= _FEW:
                line.set_marker(_MARKERS[number % len(_MARKERS)])
    if not axes.lines:
        return None
    axes.set_xlabel("epoch")
    axes.set_ylabel(METRICS[metric])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, loc="outside upper center", ncols=2, fontsize=8)
    return figure

"""Figures whose bytes depend on what they show and on nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from pipeline.atomic_write import atomic_write

# the salt and the missing metadata keep dates, versions and random ids out of the files;
# text stays text in SVG, so that it can be searched and read aloud
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pool5",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` by `height` inches in the house style, bound to no window system."""
    mpl.rcParams.update(_STYLE)
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, stem: Path | str, *, dpi: int = 150) -> None:
    """Write `figure` to `stem`.png and `stem`.svg, each whole or not at all."""
    stem = Path(stem)
    with mpl.rc_context(_STYLE):
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            with atomic_write(stem.with_name(stem.name + suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], dpi=dpi, metadata=metadata)

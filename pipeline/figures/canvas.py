"""Figures whose bytes depend on what they show and on nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..files.atomic import atomic_write
from .lettering import HOUSE, letter_texts

# the salt and the missing metadata keep dates, versions and random ids out of the files;
# text stays text in SVG, so that it can be searched and read aloud
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pool5",
    "svg.fonttype": "none",
    "font.family": HOUSE,
    "text.parse_math": False,  # a dollar sign in a name begins no formula
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` by `height` inches in the house style, bound to no window system."""
    mpl.rcParams.update(_STYLE)
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(
    figure: Figure, stem: Path | str, *, dpi: int = 150, suffixes: Sequence[str] = (".png", ".svg")
) -> None:
    """Write `figure` to `stem`.png and `stem`.svg, or to the one named, each whole or not at all."""
    stem = Path(stem)
    for suffix in suffixes:
        with atomic_write(stem.with_name(stem.name + suffix)) as temporary:
            render_figure(figure, temporary, suffix, dpi)


def render_figure(figure: Figure, file: Path | BinaryIO, suffix: str = ".png", dpi: int = 150) -> None:
    """Write `figure` into a file that is open, or to a path as it is."""
    for axes in figure.axes:  # which makes the labels of their ticks
        axes.get_xticklabels(), axes.get_yticklabels()
    nothing_of_ours = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        letter_texts(figure.findobj(Text))
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, format=suffix[1:], dpi=dpi, metadata=nothing_of_ours[suffix])

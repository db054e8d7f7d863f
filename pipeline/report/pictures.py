"""The figures of the other stages, as data URIs."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from matplotlib.figure import Figure
from PIL import Image

from ..figures.canvas import render_figure

_FIGURE_DPI = 150  # what figures.canvas saves with
_CSS_DPI = 96
# (longest side in pixels, WebP quality) of photographic sheets, best first
_LADDER = ((2000, 82), (1600, 78), (1400, 70), (1200, 60), (1000, 50), (800, 40))


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure for the page: its data URI, and the size in CSS pixels at which it is drawn one to one."""

    uri: str
    width: int
    height: int


def chart(path: Path) -> Picture:
    """A drawn figure, without loss: lines and letters stay sharp."""
    return _picture(path, 4000, lossless=True, quality=80)


def drawn(figure: Figure) -> Picture:
    """A figure that is on the page alone and in no file."""
    file = io.BytesIO()
    render_figure(figure, file)
    return _picture(file, 4000, lossless=True, quality=80)


def sheets(paths: Sequence[Path], budget: int) -> dict[Path, Picture]:
    """Sheets of photographs, as large and as good as fits into `budget` characters together."""
    for side, quality in _LADDER:
        pictures = {path: _picture(path, side, lossless=False, quality=quality) for path in paths}
        if sum(len(picture.uri) for picture in pictures.values()) <= budget:
            break
    return pictures


def data_uri(kind: str, data: bytes) -> str:
    """`data` in a form that an attribute of the page can hold."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _picture(path: Path | BinaryIO, longest: int, *, lossless: bool, quality: int) -> Picture:
    with Image.open(path) as image:
        width, height = (round(side * _CSS_DPI / _FIGURE_DPI) for side in image.size)
        page = image.convert("RGB")
    page.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    page.save(file, "WEBP", lossless=lossless, quality=quality, method=4)
    return Picture(data_uri("image/webp", file.getvalue()), width, height)

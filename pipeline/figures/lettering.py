"""Names in figures: the fonts that have their letters, how wide they are, and how they fit into a place."""

from __future__ import annotations

import bisect
import logging
import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

HOUSE = "DejaVu Sans"
POINT = 1 / 72  # inches

_log = logging.getLogger(__name__)
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it warns of a font without bold
_told: set[str] = set()
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")


@cache
def families(text: str) -> tuple[str, ...]:
    """The house font, and behind it an installed one for each letter of `text` that it lacks."""
    house = font_manager.get_font(font_manager.findfont(HOUSE))
    lacking = (letter for letter in dict.fromkeys(text) if not house.get_char_index(ord(letter)))
    return (HOUSE, *dict.fromkeys(filter(None, map(_family_with, lacking))))


def letter_texts(texts: Iterable[Text]) -> None:
    """Give texts the fonts that they need; what no font has is logged once, with what to install."""
    missing: set[str] = set()
    for text in texts:
        if (wanted := families(text.get_text())) != (HOUSE,):
            text.set_fontfamily(wanted)
        missing |= {letter for letter in _lacking(text.get_text()) if letter.isprintable()}
    if new := sorted(missing - _told):
        _told.update(new)
        east_asian = any(unicodedata.name(letter, "").startswith(_EAST_ASIAN) for letter in new)
        font = "Noto Sans CJK (fonts-noto-cjk)" if east_asian else "Noto Sans (fonts-noto-core) or Symbola"
        shown = "".join(new[:20]) + ("…" if len(new) > 20 else "")
        _log.warning("figures: no installed font has %s, so boxes stand for it; install %s", shown, font)


@cache
def width_of(text: str, size: float, bold: bool = False) -> float:
    """The width of `text` in inches at `size` points."""
    weight = "bold" if bold else "normal"
    font = font_manager.FontProperties(family=families(text), size=size, weight=weight)
    with warnings.catch_warnings(action="ignore"):  # of letters that no font has: `letter_texts` tells
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] * POINT


def shortened(text: str, width: float, size: float, bold: bool = False) -> str:
    """Leave out the middle of what is wider than `width` inches: both ends of a name tell more."""
    if width_of(text, size, bold) <= width:
        return text

    def ends(kept: int) -> str:
        return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}" if kept > 1 else "…"

    too_many = bisect.bisect(range(2, len(text)), width, key=lambda kept: width_of(ends(kept), size, bold))
    return ends(too_many + 1)


def wrapped(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Break `text` at its spaces and line ends into lines no wider than `width` inches."""
    lines = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and width_of(longer, size, bold) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return [shortened(line, width, size, bold) for line in lines if line]


def _lacking(text: str) -> set[str]:
    """The letters that no installed font has."""
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families(text)]
    return {letter for letter in text if not any(font.get_char_index(ord(letter)) for font in fonts)}


@cache
def _family_with(letter: str) -> str | None:
    for path in _installed():
        try:
            if font_manager.get_font(path).get_char_index(ord(letter)):
                font_manager.fontManager.addfont(path)
                return str(font_manager.get_font(path).family_name)
        except RuntimeError:  # a kind of font that matplotlib cannot draw with
            continue
    return None


@cache
def _installed() -> list[str]:
    """The system's fonts, plain ones first; asked anew, as matplotlib's own list is as old as its cache."""
    paths = sorted(font_manager.findSystemFonts())
    return sorted(paths, key=lambda path: ("Sans" not in Path(path).name, "Regular" not in Path(path).name))

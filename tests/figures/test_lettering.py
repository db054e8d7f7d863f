"""Names in figures: fonts for their letters, and room."""

from __future__ import annotations

import logging
import warnings

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from pool5.figures import lettering
from pool5.figures.canvas import new_figure, save_figure


@pytest.fixture
def fonts(monkeypatch):
    """Which fonts the system has; what was found out before is forgotten."""
    cached = (lettering.families, lettering.width_of, lettering._family_with, lettering._installed)
    found: list[str] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    monkeypatch.setattr(lettering, "_told", set())
    for function in cached:
        function.cache_clear()
    yield found
    for function in cached:
        function.cache_clear()


def small_font(path, letter: str) -> str:
    """A font with one letter, a square."""
    pen = TTGlyphPen(None)
    for number, corner in enumerate([(0, 0), (0, 900), (900, 900), (900, 0)]):
        (pen.lineTo if number else pen.moveTo)(corner)
    pen.closePath()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(letter): "square"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Pool5 Square", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return str(path)


def draw(words: str, stem) -> str:
    figure = new_figure(3, 1)
    figure.text(0.1, 0.5, words)
    figure.add_subplot().set_yticks([0.5], [words])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(figure, stem, suffixes=(".svg",))
    return stem.with_suffix(".svg").read_text()


def test_a_letter_that_the_house_font_lacks_is_taken_from_one_that_is_installed(fonts, tmp_path, caplog):
    fonts.append(small_font(tmp_path / "square.ttf", "猫"))
    assert lettering.families("猫 cat") == ("DejaVu Sans", "Pool5 Square")
    assert "Pool5 Square" in draw("猫 cat", tmp_path / "a")
    assert not caplog.messages
    assert "Pool5 Square" not in draw("cat", tmp_path / "b")


@pytest.mark.parametrize(("word", "font"), [("猫", "fonts-noto-cjk"), ("\U00010380", "fonts-noto-core")])
def test_a_letter_that_no_font_has_is_told_once_with_the_font_to_install(fonts, tmp_path, caplog, word, font):
    with caplog.at_level(logging.WARNING):
        draw(word, tmp_path / "a")
        draw(word, tmp_path / "b")
    assert len(caplog.messages) == 1
    assert word in caplog.text
    assert font in caplog.text


@pytest.mark.parametrize("name", [r"a $\q$ b", "$", "$$x^$"])
def test_a_dollar_sign_is_no_formula(tmp_path, name):
    assert name in draw(name, tmp_path / "a")


def test_a_long_name_keeps_both_its_ends_and_a_short_one_stays():
    name = "a" + "m" * 298 + "z"
    short = lettering.shortened(name, 2.0, 9)
    assert (short[0], short[-1], "…" in short) == ("a", "z", True)
    assert 1.8 < lettering.width_of(short, 9) <= 2.0
    assert lettering.shortened("cat", 2.0, 9) == "cat"
    assert lettering.shortened("cat", 0.01, 9) == "…"

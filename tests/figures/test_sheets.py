"""Contact sheets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.figures.canvas import save_figure
from pool5.figures.sheets import NEIGHBOR_LEGEND, Tile, compose_sheet
from pool5.images.address import Address

COLOURS = [(220, 30, 30), (30, 160, 40), (40, 60, 200)]


@pytest.fixture
def photos(tmp_path: Path) -> list[Address]:
    """A red wide, a green high and a blue square image."""
    paths = []
    for number, (colour, size) in enumerate(zip(COLOURS, [(400, 200), (150, 450), (300, 300)], strict=True)):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", size, colour).save(paths[-1])
    return [Address(str(path)) for path in paths]


def words_of(svg: Path) -> list[str]:
    return [element.text for element in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_image_is_shown_whole_and_in_its_own_proportions(photos, tmp_path):
    save_figure(
        compose_sheet(
            [("", [Tile(photo, str(number)) for number, photo in enumerate(photos)])], title="Three"
        ),
        tmp_path / "sheet",
    )
    drawn = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    for colour, proportion in zip(COLOURS, (2.0, 1 / 3, 1.0), strict=True):
        there = np.abs(drawn - colour).sum(axis=2) < 12
        height, width = np.ptp(np.nonzero(there)[0]), np.ptp(np.nonzero(there)[1])
        assert width / height == pytest.approx(proportion, rel=0.06)
        assert there.sum() > 0.9 * width * height


def test_the_same_images_give_the_same_bytes(photos, tmp_path):
    rows = [
        ("cat", [Tile(photos[0], "000001", "cat", "query"), Tile(photos[1], "000002", "0.1\ncat", "hit")])
    ]
    for name in ("a", "b"):
        sheet = compose_sheet(rows, title="Twice", caption="caption", legend=NEIGHBOR_LEGEND)
        save_figure(sheet, tmp_path / name)
    for suffix in (".png", ".svg"):
        assert (tmp_path / "a").with_suffix(suffix).read_bytes() == (tmp_path / "b").with_suffix(
            suffix
        ).read_bytes()


def test_words_are_text_in_the_svg_and_stay_inside_it(photos, tmp_path):
    long_id = "a_very_long_image_identifier_that_cannot_fit_above_a_tile_0001"
    tiles = [
        Tile(photos[0], "000001", "cat", "query"),
        Tile(photos[1], long_id, "diningtable pottedplant tvmonitor motorbike aeroplane person", "miss"),
        Tile(photos[2], "$a_b$", "0.5", "hit"),
    ]
    sheet = compose_sheet(
        [("cat", tiles), ("", [None, *tiles[1:]])],
        title="A title",
        columns=[("", 1), ("caffenet/pool5", 2)],
        legend=NEIGHBOR_LEGEND,
    )
    save_figure(sheet, tmp_path / "sheet")
    words = words_of(tmp_path / "sheet.svg")
    assert {"A title", "cat", "000001", "$a_b$", "query", "✓", "✗", "caffenet/pool5"} <= set(words)
    assert "shares a label with the query" in words
    assert any(w.startswith("a_very") and "…" in w and w.endswith("0001") for w in words)
    assert " ".join(words).count("diningtable") == 2  # wrapped, not cut
    # nothing but white touches the edge of the picture
    drawn = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    edge = np.concatenate(
        [drawn[:8].ravel(), drawn[-8:].ravel(), drawn[:, :8].ravel(), drawn[:, -8:].ravel()]
    )
    assert edge.min() == 255


def test_a_missing_image_is_named(photos, tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.jpg"):
        compose_sheet([("", [Tile(Address(str(tmp_path / "nowhere.jpg")), "x")])], title="None")


def test_without_rows_a_sheet_says_what_its_title_and_caption_say(tmp_path):
    save_figure(compose_sheet([], title="A title", caption="Nothing."), tmp_path / "sheet")
    assert words_of(tmp_path / "sheet.svg") == ["A title", "Nothing."]


@pytest.mark.parametrize("words", ["“a dog on a sofa” + 000003 − cat.jpg", "wort " * 90, "x" * 300])
def test_words_in_the_place_of_an_image_stay_inside_their_tile(photos, tmp_path, words):
    rows = [("", [Tile(words, "", "", "query"), Tile(photos[0], "000001")])]
    save_figure(compose_sheet(rows, title="Words"), tmp_path / "sheet")
    shown = " ".join(words_of(tmp_path / "sheet.svg"))
    assert words.split()[0][:6] in shown
    drawn = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    ink = (drawn < 140).any(axis=0)
    assert not ink[: ink.argmax()].any()

"""The sheets and the figure of odd images: what they say, where there is much and where there is nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from pool5.figures.outliers import draw_distances, draw_looks, draw_odd, draw_typical
from pool5.images.address import Address
from pool5.results.outliers import (
    Compared,
    IsolatedGroup,
    OddImage,
    OddInLayer,
    OddLooks,
    TypicalImage,
    TypicalOfClass,
)

AMONG = Compared(
    images=30, median=0.3, spread=0.05, logarithmic=False, edges=(0.1, 0.9), counts=(12, 17, 0, 1)
)
ALIKE = Compared(images=30, median=0, spread=0, logarithmic=False, edges=(-0.5, 0.5), counts=(0, 0, 30, 0))


def odd(name: str, score: float | None = 12.0) -> OddImage:
    return OddImage(split="test", id=name, value=0.9, rank=1, quantile=0.97, score=score, nearest="b")


def part(among: Compared = AMONG, score: float | None = 12.0, classes: int = 2) -> OddInLayer:
    group = IsolatedGroup(ids=("b", "c"), images=2, odd=odd("b"))
    typical = [
        TypicalOfClass(
            class_name=f"class {n}", images=9 + n, median=2.5, typical=(TypicalImage(id="c", named_by=7),)
        )
        for n in range(classes)
    ]
    return OddInLayer(
        layer="net/fc", split="test", k=10, distances=among, beyond=1, odd=(odd("a", score),), nearest=among,
        isolated=1, groups=(group,), typical=tuple(typical),
    )  # fmt: skip


@pytest.fixture
def images(tmp_path) -> dict[str, dict[str, Address]]:
    Image.new("RGB", (8, 6), "gray").save(tmp_path / "a.png")
    return {"test": dict.fromkeys("abc", Address(str(tmp_path / "a.png")))}


def words(stem: Path) -> str:
    return stem.with_suffix(".svg").read_text()


def test_each_odd_image_stands_beside_what_it_is_compared_with(tmp_path, images):
    draw_odd([part()], images, 3.5, tmp_path / "odd")
    text = words(tmp_path / "odd")
    for expected in ("0.900, 1 of 30", "12.0 spreads", "✗", "isolated"):
        assert expected in text


def test_images_that_are_all_alike_are_called_so(tmp_path, images):
    draw_odd([part(ALIKE, None)], images, 3.5, tmp_path / "odd")
    assert "all are alike" in words(tmp_path / "odd")
    draw_distances([part(ALIKE, None)], 3.5, tmp_path / "distances")
    assert (tmp_path / "distances.png").is_file()


def test_of_many_classes_those_with_the_most_images_are_drawn_and_it_is_said(tmp_path, images):
    draw_typical(part(classes=30), images["test"], tmp_path / "typical")
    text = words(tmp_path / "typical")
    assert "class 29" in text
    assert "class 5<" not in text
    assert "Of 30 classes" in re.sub(r"<[^>]*>|\s+", " ", text)


def test_where_no_picture_looks_odd_the_sheet_says_so(tmp_path, images):
    look = OddLooks(
        kind="dark", measure="level", above=False, bound=0.3, cut=3.5, compared=AMONG, beyond=0, odd=()
    )
    draw_looks([look], images, tmp_path / "looks")
    assert "No picture looks unlike the others" in words(tmp_path / "looks")


def test_the_distances_say_how_many_are_beyond(tmp_path):
    draw_distances([part(), part()], 3.5, tmp_path / "distances")
    assert words(tmp_path / "distances").count("1 of 30 beyond the dashed line") == 2

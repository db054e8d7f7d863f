"""Sprite sheets: within their budget, the same bytes again, every image whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.images.address import Address
from pool5.report.thumbnails import PER_SHEET, make_sprites, shrink_images


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(70):
        small = rng.integers(0, 256, (6, 8 if number % 2 else 4, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((small.shape[1] * 40, 240), Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.jpg")
        paths.append(Address(str(folder / f"{number}.jpg")))
    return paths


@pytest.fixture(scope="module")
def small(photos):
    return shrink_images(photos)


def total(sprites) -> int:
    return sum(map(len, sprites.sheets))


def test_a_smaller_budget_gives_smaller_pictures(small):
    good, cheap = make_sprites(small, 10**7), make_sprites(small, 60_000)
    assert good.cell == 128
    assert total(cheap) <= 60_000 < total(good)


def test_sheets_hold_every_image_once(small):
    sprites = make_sprites(small, 10**7)
    assert len(sprites.sheets) == -(-len(small) // PER_SHEET)
    assert sprites.sizes.tolist()[:2] == [[85, 128], [128, 96]]
    assert Image.open(io.BytesIO(sprites.sheets[1])).size == (8 * 128, 128)


def test_the_same_files_give_the_same_bytes(small):
    assert make_sprites(small, 10**6).sheets == make_sprites(small, 10**6).sheets


def test_a_damaged_file_is_named(photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(Path(photos[0].file).read_bytes()[:500])
    with pytest.raises(UserError, match=r"broken\.jpg"):
        shrink_images([*photos[:3], Address(str(broken))])

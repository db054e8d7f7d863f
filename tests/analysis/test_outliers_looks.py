"""Odd pictures: so in an absolute sense, and among their own data set."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.outliers.looks import KINDS, examine_looks
from pool5.datasets.looks import PictureLooks
from pool5.results.outliers import OddLooks

PHOTOGRAPH = {
    "width": 500,
    "height": 375,
    "sharpness": 5800,
    "contrast": 0.22,
    "plain": 0.25,
    "low": 20,
    "high": 245,
}
SPREAD = {"width": 0, "height": 20, "sharpness": 2500, "contrast": 0.02, "plain": 0.06, "low": 8, "high": 8}
ODD = {
    "blank": {"plain": 1.0},
    "dark": {"high": 40},
    "bright": {"low": 240},
    "blurred": {"sharpness": 15},
    "noisy": {"sharpness": 60_000},
    "long": {"height": 60},
    "small": {"width": 32, "height": 24},
}


def photographs(count: int = 100, **other: float) -> PictureLooks:
    """As they are, but for what is said to be otherwise in all of them."""
    rng = np.random.default_rng(0)
    columns = {
        name: (PHOTOGRAPH | other)[name] * (1 + SPREAD[name] / PHOTOGRAPH[name] * rng.uniform(-1, 1, count))
        for name in PHOTOGRAPH
    }
    return PictureLooks(np.array(["train"] * count), np.array([f"{n:03}" for n in range(count)]), columns)


def changed(pictures: PictureLooks, row: int, **other: float) -> PictureLooks:
    columns = {name: values.copy() for name, values in pictures.columns.items()}
    for name, value in other.items():
        columns[name][row] = value
    return PictureLooks(pictures.splits, pictures.ids, columns)


def odd(pictures: PictureLooks) -> dict[str, OddLooks]:
    looks, gaps = examine_looks(pictures, 50)
    assert gaps == []
    return {look.kind: look for look in looks if look.beyond}


@pytest.mark.parametrize("kind", KINDS)
def test_one_odd_picture_among_photographs_is_found_and_no_other(kind):
    found = odd(changed(photographs(), 7, **ODD[kind]))
    assert list(found) == [kind]
    (image,) = found[kind].odd
    assert (image.split, image.id, image.rank, image.quantile) == ("train", "007", 1, 0.99)
    assert image.score > found[kind].cut


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blank"])
def test_where_all_pictures_are_like_that_none_is_odd(kind):
    assert kind not in odd(photographs(**ODD[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_where_all_values_are_the_same_none_is_odd(kind):
    pictures = photographs()
    same = {name: np.full(100, (PHOTOGRAPH | ODD[kind])[name], float) for name in PHOTOGRAPH}
    assert odd(PictureLooks(pictures.splits, pictures.ids, same)) == {}


def test_unlike_the_others_is_not_enough():
    """A little less dark than the rest is far from them and not dark."""
    pictures = photographs()
    pictures.columns["high"][:] = 255 - np.arange(100) % 2
    assert odd(changed(pictures, 3, high=200)) == {}


def test_the_oddest_come_first_and_all_are_counted():
    pictures = photographs()
    for row, high in enumerate((60, 20, 40)):
        pictures = changed(pictures, row, high=high)
    looks, _ = examine_looks(pictures, 2)
    dark = next(look for look in looks if look.kind == "dark")
    assert (dark.beyond, [image.id for image in dark.odd]) == (3, ["001", "002"])
    assert [image.rank for image in dark.odd] == [1, 2]


def test_few_pictures_are_a_gap():
    looks, gaps = examine_looks(photographs(9), 50)
    assert looks == []
    assert gaps == ["9 pictures are too few to tell one that looks odd, which takes 10"]

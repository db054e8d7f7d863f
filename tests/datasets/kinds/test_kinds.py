"""Every kind of data set, by the tests that any kind must pass."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

from coco_files import write_coco
from devkit import write_devkit, write_image
from kind_tests import KindTests
from tars import write_shards

from pool5.datasets.kinds import KINDS
from pool5.params import Dataset


def _voc(root: Path) -> None:
    images = [{f"{split}{i}": [("cat" if i % 2 else "dog", False)] for i in range(6)} for split in "ab"]
    write_devkit(root, dict(zip(("train", "test"), images, strict=True)))


def _folder(root: Path) -> None:
    for i in range(12):
        write_image(root / ("test" if i % 4 == 0 else "train") / ("cat" if i % 3 else "dog") / f"{i}.jpg", i)


def _images(root: Path) -> None:
    for i in range(12):
        write_image(root / f"trip-{i % 2}" / f"{i}.jpg", i)


def _images_in_splits(root: Path) -> None:
    for i in range(12):
        write_image(root / ("test" if i % 4 == 0 else "train") / f"{i}.jpg", i)


def _table(root: Path) -> None:
    _images(root)
    rows = [f"trip-{i % 2}/{i}.jpg,{i % 2},{i % 3 and 1}" for i in range(12)]
    (root / "images.csv").write_text("\n".join(["path,cat,dog", *rows]))


def _coco(root: Path) -> None:
    for split in ("train", "test"):
        names = [f"{split}{n}.jpg" for n in range(6)]
        write_coco(root / f"annotations/instances_{split}2017.json", names, root / split)


class TestVoc(KindTests):
    kind, write = "voc", _voc


class TestFolder(KindTests):
    kind, write = "folder", _folder


class TestImages(KindTests):
    kind, write = "images", _images


class TestImagesInSplits(KindTests):
    kind, write = "images", _images_in_splits


class TestTable(KindTests):
    kind, write = "table", _table


class TestCoco(KindTests):
    kind, write = "coco", _coco


class TestWebdataset(KindTests):
    kind, write = "webdataset", write_shards


def test_params_know_every_kind_and_no_other():
    assert set(get_args(get_type_hints(Dataset)["kind"])) == set(KINDS)

"""VOC's annotations without lists, as labelImg and Roboflow leave them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from devkit import write_annotation, write_image
from kind_tests import KindTests
from listed import listed

from pool5.errors import UserError


def annotated(root: Path, image: str, annotation: str, name: str = "cat") -> None:
    write_image(root / image, len(image) + sum(image.encode()))
    write_annotation(root / "made", "x", [(name, False)])
    (root / annotation).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(root / "made/Annotations/x.xml", root / annotation)
    shutil.rmtree(root / "made")


def beside(root: Path) -> None:
    """As Roboflow exports it."""
    for number in range(12):
        image = f"{'test' if number > 8 else 'train'}/{number} a_jpg.rf.{number}"
        annotated(root, f"{image}.jpg", f"{image}.xml", "dog" if number % 2 else "cat")


class TestAnnotationsBesideTheImages(KindTests):
    kind = "voc"
    write = staticmethod(beside)


LAYOUTS = {
    "beside": ("{split}/{n}.jpg", "{split}/{n}.xml"),
    "folders in a split": ("{split}/images/{n}.jpg", "{split}/annotations/{n}.xml"),
    "splits in folders": ("images/{split}/{n}.jpg", "annotations/{split}/{n}.xml"),
    "splits of images": ("JPEGImages/{split}/{split}{n}.jpg", "Annotations/{split}{n}.XML"),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_each_image_has_its_own_annotation_and_its_split(tmp_path, layout):
    image, annotation = layout
    for split, name in (("train", "cat"), ("test", "dog")):
        for n in range(3):
            annotated(tmp_path, image.format(split=split, n=n), annotation.format(split=split, n=n), name)
    listings = listed("voc", tmp_path, "train", "test")
    assert listings["train"].paths == tuple(image.format(split="train", n=n) for n in range(3))
    assert np.asarray(listings["train"].labels).tolist() == [[1, -1]] * 3
    assert np.asarray(listings["test"].labels).tolist() == [[-1, 1]] * 3


@pytest.mark.parametrize("layout", [("{n}.jpg", "{n}.xml"), ("images/{n}.jpg", "annotations/{n}.xml")])
def test_splits_are_drawn_where_there_are_none(tmp_path, layout):
    for n in range(10):
        annotated(tmp_path, layout[0].format(n=n), layout[1].format(n=n))
    write_image(tmp_path / "not annotated.jpg")
    listings = listed("voc", tmp_path, "train", "test")
    assert {split: len(part.ids) for split, part in listings.items()} == {"train": 8, "test": 2}


def test_an_annotation_that_may_be_that_of_two_images_is_refused(tmp_path):
    annotated(tmp_path, "train/1.jpg", "annotations/1.xml")
    write_image(tmp_path / "test/1.jpg")
    with pytest.raises(UserError, match=r"annotations/1\.xml: train/1 and test/1 are both named as it"):
        listed("voc", tmp_path, "train", "test")


def test_an_image_that_may_have_either_of_two_annotations_is_refused(tmp_path):
    annotated(tmp_path, "train/1.jpg", "a/1.xml")
    annotated(tmp_path, "train/2.jpg", "b/1.xml")
    with pytest.raises(UserError, match=r"train/1\.jpg: a/1\.xml is named as it, but so is b/1\.xml"):
        listed("voc", tmp_path, "train", "test")


def test_a_split_without_an_annotated_image_is_refused(tmp_path):
    annotated(tmp_path, "train/1.jpg", "train/1.xml")
    write_image(tmp_path / "test/2.jpg")
    with pytest.raises(UserError, match="test: an empty split"):
        listed("voc", tmp_path, "train", "test")

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import write_coco
from devkit import write_devkit
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pool5.datasets.inventory import take_inventory
from pool5.datasets.kinds import list_splits
from pool5.datasets.listing import Listing, ObjectBox
from pool5.datasets.manifest import Manifest, read_manifest
from pool5.datasets.objects import LostBoxes, numbered, objects_of
from pool5.datasets.roots import open_tree
from pool5.errors import UserError
from pool5.images.address import Address
from pool5.images.image_bytes import digest_of, part_digest
from pool5.images.image_file import read_image
from pool5.labels import Labels
from pool5.params import Dataset
from pool5.project import Project
from pool5.results.dataset import DatasetResult
from pool5.results.record import load_record

CLASSES = ("cat", "dog")
UPRIGHT = np.zeros(2, bool)
TURNED = np.ones(2, bool)


def box(name: str, corners, image: str = "a", difficult: bool = False) -> ObjectBox:
    return ObjectBox(image, name, difficult, None, corners)


def manifest(*sizes: tuple[int, int], names: str = "ab", digests: bytes = bytes(range(32))) -> Manifest:
    """Images `x/a.jpg`, `x/b.jpg`, … of these sizes as stored."""
    ids = list(names[: len(sizes)])
    of = np.frombuffer(digests, np.uint8).reshape(-1, 16)[: len(sizes)]
    labels = np.ones((len(sizes), 2), np.int8)
    return Manifest(
        "test", CLASSES, ids, [f"x/{name}.jpg" for name in ids], of, np.array(sizes, np.int32), labels
    )


def the_objects_of(
    images: Manifest, boxes: list[ObjectBox], turned: np.ndarray, margin: float
) -> tuple[Manifest, LostBoxes]:
    listing = Listing(
        "test", CLASSES, (), (), Labels.none(0), (*boxes, box("cat", (1, 1, 2, 2), "elsewhere"))
    )
    return objects_of(images, numbered({"test": listing}, "root")["test"].objects, turned, margin)


@pytest.fixture
def images() -> Manifest:
    return manifest((100, 50), (40, 60))


def rows(found: Manifest) -> list[tuple[str, str, list[int], list[int]]]:
    sizes, labels = found.sizes.tolist(), np.asarray(found.labels).tolist()
    return list(zip(found.ids.tolist(), found.paths.tolist(), sizes, labels, strict=True))


def test_a_row_is_a_box_with_its_class_and_no_other(images):
    boxes = [box("dog", (11, 6, 30, 25)), box("cat", (1, 1, 10, 10), "b"), box("cat", (41, 1, 60, 40))]
    found, lost = the_objects_of(images, boxes, UPRIGHT, 0.1)
    assert rows(found) == [
        ("a#1", "x/a.jpg#xywh=8,3,24,24", [24, 24], [-1, 1]),
        ("b#1", "x/b.jpg#xywh=0,0,11,11", [11, 11], [1, -1]),
        ("a#2", "x/a.jpg#xywh=38,0,24,44", [24, 44], [1, -1]),
    ]
    assert not lost.bare
    assert not lost.outside
    assert (found.split, found.classes) == ("test", CLASSES)


def test_a_difficult_object_is_neither_present_nor_absent(images):
    found, _ = the_objects_of(images, [box("dog", (11, 6, 30, 25), difficult=True)], UPRIGHT, 0)
    assert rows(found) == [("a#1", "x/a.jpg#xywh=10,5,20,20", [20, 20], [-1, 0])]


def test_boxes_count_in_the_upright_picture(images):
    found, _ = the_objects_of(images, [box("dog", (1, 61, 50, 100))], TURNED, 0.5)
    assert rows(found)[0][1:3] == ("x/a.jpg#xywh=0,40,50,60", [50, 60])


def test_what_has_no_box_or_none_on_the_picture_is_left_out_and_its_number_stays(images):
    boxes = [
        box("cat", None), box("cat", (10, 10, 9, 20)), box("cat", (101, 1, 120, 20)),
        box("cat", (-20, 1, 0, 9)), box("dog", (100, 50, 300, 300)), box("dog", (5, 5, 5, 5)),
        box("dog", (1, 1, 2, 2), "not here"),
    ]  # fmt: skip
    found, lost = the_objects_of(images, boxes, UPRIGHT, 0.1)
    assert [row[:2] for row in rows(found)] == [
        ("a#5", "x/a.jpg#xywh=79,24,21,26"),
        ("a#6", "x/a.jpg#xywh=4,4,1,1"),
    ]
    assert (lost.bare, lost.outside) == (["a#1"], ["a#2", "a#3", "a#4"])
    assert list(lost.remarks("test")) == [
        "split test: 1 object without a box left out: a#1",
        "split test: 3 objects whose box is empty or off the picture left out: a#2, a#3, a#4",
    ]


def test_a_box_may_end_anywhere(images):
    (row,) = rows(the_objects_of(images, [box("cat", (-(10**300), 11, 10**300, 20))], UPRIGHT, 0)[0])
    assert row[1] == "x/a.jpg#xywh=0,10,100,10"


def test_a_split_without_any_box_is_told_in_a_line(images):
    with pytest.raises(UserError, match="split test: none of its 2 images has an annotated box"):
        the_objects_of(images, [box("cat", None)], UPRIGHT, 0.1)


@given(st.tuples(*[st.integers(-50, 150)] * 4), st.floats(0, 2))
def test_a_part_lies_in_the_picture_and_holds_what_of_the_box_does(corners, margin):
    xmin, ymin, xmax, ymax = corners
    there = max(xmin, 1) <= min(xmax, 100) and max(ymin, 1) <= min(ymax, 50)
    try:
        found, _ = the_objects_of(manifest((100, 50)), [box("cat", corners)], UPRIGHT[:1], margin)
    except UserError:
        assert not there
        return
    x, y, width, height = Address.parse(str(found.paths[0])).crop
    assert there
    assert 0 <= x <= max(xmin - 1, 0) < min(xmax, 100) <= x + width <= 100
    assert 0 <= y <= max(ymin - 1, 0) < min(ymax, 50) <= y + height <= 50


def test_the_digest_is_that_of_the_bytes_and_the_part():
    data = b"whatever is in the file"
    images = manifest((100, 50), digests=digest_of(data, Address("a")))
    found, _ = the_objects_of(images, [box("cat", (1, 1, 9, 9)), box("cat", (2, 2, 9, 9))], UPRIGHT[:1], 0)
    addresses = [Address.parse(path) for path in found.paths.tolist()]
    assert [each.tobytes() for each in found.digests] == [digest_of(data, where) for where in addresses]
    assert found.digests[0].tobytes() != found.digests[1].tobytes()


def write_turned(path: Path) -> None:
    """A white picture of 20 x 40 with a red square, stored on its side."""
    upright = Image.new("RGB", (20, 40), "white")
    upright.paste("red", (5, 30, 15, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    path.parent.mkdir(exist_ok=True)
    upright.rotate(90, expand=True).save(path, "PNG", exif=exif)


def test_a_turned_photograph_is_cropped_as_a_viewer_shows_it(tmp_path):
    categories, root = [{"id": 1, "name": "square"}], tmp_path / "kit"
    for split in ("train", "test"):
        write_turned(root / f"{split}.png")
        boxes = [{"image_id": 1, "category_id": 1, "bbox": [5, 30, 10, 10]}]
        images = [{"id": 1, "file_name": f"{split}.png"}]
        text = json.dumps({"images": images, "annotations": boxes, "categories": categories})
        (root / f"{split}.json").write_text(text)
    manifest = read_manifest(take(root, "coco", margin=0.0).manifest("test"))
    assert manifest.paths.tolist() == ["test.png#xywh=5,30,10,10"]
    part = read_image(Address.parse(str(manifest.paths[0]), root))
    assert part.shape == (10, 10, 3)
    assert (part == [255, 0, 0]).all()


def take(root: Path, kind: str, on_bad_image: str = "fail", **settings: Any) -> Project:
    project = Project(root.parent / "out")
    asked = {"name": "any", "kind": kind, "root": str(root), "train": "train", "test": "test"}
    take_inventory(project, Dataset(**asked, objects=True, **settings), on_bad_image)
    return project


def test_an_inventory_of_objects_has_their_rows_and_the_boxes_of_their_images(tmp_path):
    root = tmp_path / "kit"
    splits = {
        "train": {"1": [("cat", False), ("dog", True)], "2": [("dog", False)]},
        "test": {"3": [("cat", False)], "4": [("dog", False), ("dog", False)]},
    }
    write_devkit(root, splits)
    (root / "JPEGImages/4.jpg").write_bytes(b"no image")
    project = take(root, "voc", "skip")
    train, test = (read_manifest(project.manifest(split)) for split in ("train", "test"))
    assert train.ids.tolist() == ["1#1", "1#2", "2#1"]
    assert np.asarray(train.labels).tolist() == [[1, -1], [-1, 0], [-1, 1]]
    assert test.ids.tolist() == ["3#1"]
    whole = digest_of((root / "JPEGImages/3.jpg").read_bytes(), Address("3"))
    assert test.digests[0].tobytes() == part_digest(whole, Address.parse(str(test.paths[0])).crop)
    assert project.objects.read_text().splitlines()[1:] == [
        "1,cat,0,0,3,4,20,18", "1,dog,1,0,3,4,20,18", "2,dog,0,0,3,4,20,18", "3,cat,0,0,3,4,20,18",
    ]  # fmt: skip
    result = load_record(DatasetResult, project.result("dataset"))
    assert result.gaps[0] == (
        "a row is an annotated object, and so is what results call an image: 3 on 2 images of train, "
        "1 on 1 image of test"
    )
    assert (result.splits["test"].images, len(result.splits["test"].left_out)) == (1, 1)


def test_numbers_are_those_of_all_objects_whichever_are_chosen(images):
    boxes = (box("dog", (1, 1, 9, 9)), box("cat", (1, 1, 9, 9)), box("cat", (2, 2, 9, 9)))
    listing = Listing("test", CLASSES, ("a",), ("x/a.jpg",), Labels.none(1), boxes)
    counted = numbered({"test": listing}, "root")["test"].objects
    found, _ = objects_of(images, [box for box in counted if box.name == "cat"], UPRIGHT, 0)
    assert found.ids.tolist() == ["a#2", "a#3"]


def test_a_data_set_without_boxes_is_refused_in_a_line():
    listing = Listing("test", CLASSES, (), (), Labels.none(0), (box("cat", None),))
    with pytest.raises(UserError, match="root has no annotated boxes") as told:
        numbered({"test": listing}, "root")
    assert "\n" not in str(told.value)


def test_a_list_that_is_left_out_may_name_objects(tmp_path):
    for split in ("train", "test"):
        write_coco(tmp_path / f"{split}.json", [f"{split}1.jpg", f"{split}2.jpg"])
    (tmp_path / "near.txt").write_text("[train]\ntrain1#1\ntrain2\nnothing#1\n")
    asked = {"name": "any", "kind": "coco", "root": str(tmp_path), "train": "train", "test": "test"}
    dataset = Dataset(**asked, objects=True, exclude=("near.txt",))
    listings = list_splits(dataset, open_tree(str(tmp_path)), tmp_path)
    assert [(box.id, box.number) for box in listings["train"].objects] == [("train1", 2)]
    assert len(listings["test"].objects) == 3
    assert listings["train"].remarks == (
        "near.txt leaves out 1 object of train",
        "near.txt leaves out 1 image of train",
        "near.txt has 1 name of no image that is read: nothing#1",
    )

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from coco_files import CATEGORIES, coco, write_coco
from devkit import write_image
from hypothesis import given
from hypothesis import strategies as st
from listed import listed

from pool5.datasets.kinds.coco import list_coco
from pool5.datasets.kinds.coco_file import read_coco_file
from pool5.datasets.tree import LocalTree, Tree
from pool5.errors import UserError
from pool5.labels import Labels
from pool5.params import Dataset

NAMES = ["a.jpg", "b.jpg", "c.jpg"]
LABELS = [[1, 1], [-1, 1], [0, 1]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco(tmp_path / "annotations/instances_train2017.json", NAMES, tmp_path / "train2017")
    write_coco(tmp_path / "annotations/instances_val2017.json", ["d.jpg"], tmp_path / "val2017")
    return tmp_path


def parts(root: Path, **settings):
    return listed("coco", root, "train", "val", **settings)


def refusal(root: Path, **settings) -> str:
    with pytest.raises(UserError) as told:
        parts(root, **settings)
    assert "\n" not in str(told.value)
    return str(told.value)


def change(root: Path, **changed) -> None:
    """Write the training's file again, with other lists in it."""
    content = coco(NAMES) | changed
    (root / "annotations/instances_train2017.json").write_text(json.dumps(content))


def changed_annotation(root: Path, **fields) -> None:
    annotations = coco(NAMES)["annotations"]
    annotations[0] |= fields
    change(root, annotations=annotations)


def test_labels_are_present_crowd_or_absent_and_classes_the_categories_in_their_order(root):
    train = parts(root)["train"]
    assert train.classes == ("dog", "cat")
    assert train.ids == ("a", "b", "c")
    assert train.paths == ("train2017/a.jpg", "train2017/b.jpg", "train2017/c.jpg")
    assert np.asarray(train.labels).tolist() == LABELS
    assert not train.remarks


def test_boxes_are_those_of_voc_image_by_image_in_the_order_of_the_file(root):
    boxes = parts(root)["train"].objects
    assert [(box.id, box.name, box.difficult, box.corners) for box in boxes] == [
        ("a", "cat", False, (3, 4, 20, 18)),
        ("a", "dog", False, (1, 2, 10, 9)),
        ("b", "cat", False, (3, 4, 20, 18)),
        ("c", "cat", False, (3, 4, 20, 18)),
        ("c", "dog", True, (1, 2, 10, 9)),
    ]
    assert {box.truncated for box in boxes} == {None}


@given(st.lists(st.integers(0, 5000), min_size=4, max_size=4))
def test_a_box_of_whole_pixels_is_the_one_that_voc_would_have(edges):
    xmin, ymin, width, height = edges[0] + 1, edges[1] + 1, edges[2] + 1, edges[3] + 1
    box = {"image_id": 10, "category_id": 17, "bbox": [xmin - 1, ymin - 1, width, height]}
    file = read_coco_file(json.dumps(coco(["a"], annotations=[box])).encode(), "f")
    assert file.corners.tolist() == [[xmin, ymin, xmin + width - 1, ymin + height - 1]]


@pytest.mark.parametrize(
    ("json_of", "images"),
    [
        ("{split}/_annotations.coco.json", "{split}"),
        ("annotations/{split}.json", "images/{split}"),
        ("annotations/instances_{split}2014.json", "{split}2014"),
        ("{split}.json", "."),
        ("labels/instances_{split}.json", "all/pictures"),
    ],
)
def test_the_usual_layouts_are_found(tmp_path, json_of, images):
    for split, names in (("train", NAMES), ("val", ["d.jpg"])):
        write_coco(tmp_path / json_of.format(split=split), names, tmp_path / images.format(split=split))
    train = parts(tmp_path)["train"]
    folder = images.format(split="train").removeprefix(".")
    assert train.paths == tuple(f"{folder}/{name}".removeprefix("/") for name in NAMES)


def test_images_of_one_name_are_those_in_the_folder_of_their_split(tmp_path):
    for split in ("train", "val"):
        write_coco(tmp_path / f"annotations/{split}.json", NAMES, tmp_path / "images" / split)
    listings = parts(tmp_path)
    assert listings["val"].paths == ("images/val/a.jpg", "images/val/b.jpg", "images/val/c.jpg")
    assert listings["val"].ids == ("images/val/a", "images/val/b", "images/val/c")


def test_folders_in_file_name_are_a_part_of_the_id(tmp_path):
    write_coco(tmp_path / "train.json", ["x/1.jpg", "y/1.jpg", "x/2.png"])
    write_coco(tmp_path / "val.json", ["z/1.jpg"])
    assert parts(tmp_path)["train"].ids == ("x/1", "y/1", "x/2")


def test_files_are_named_for_each_split_or_one_for_all(root):
    files = {"train": "annotations/instances_val2017.json", "val": "annotations/instances_train2017.json"}
    assert parts(root, files=files)["val"].ids == ("a", "b", "c")
    write_coco(root / "all.json", [f"{n}.jpg" for n in range(10)], root / "all")
    drawn = parts(root, files="all.json")
    assert {split: len(part.ids) for split, part in drawn.items()} == {"train": 8, "val": 2}
    assert {box.id for box in drawn["val"].objects} == {*drawn["val"].ids}
    assert any("so they are drawn" in remark for remark in drawn["val"].remarks)


def test_the_only_file_is_that_of_all_images(tmp_path):
    write_coco(tmp_path / "annotations/labels.json", [f"{n}.jpg" for n in range(10)], tmp_path / "images")
    train = parts(tmp_path)["train"]
    assert train.paths == tuple(f"images/{name}.jpg" for name in train.ids)
    rows = [row for row, name in enumerate(train.ids) if int(name) % 2]
    assert (np.asarray(train.labels)[rows] == [-1, 1]).all()


def test_lists_may_say_which_image_of_several_files_is_in_which_split(root):
    files = {"2014": "annotations/instances_train2017.json", "2017": "annotations/instances_val2017.json"}
    (root / "a.txt").write_text("d\na\n")
    (root / "b.txt").write_text("c\n")
    listings = parts(root, files=files, lists={"train": "a.txt", "val": "b.txt"})
    assert {split: part.ids for split, part in listings.items()} == {"train": ("d", "a"), "val": ("c",)}
    assert [box.id for box in listings["val"].objects] == ["c", "c"]


def test_without_annotations_no_label_is_known(root):
    info = coco(["d.jpg"])
    del info["annotations"]
    (root / "annotations/instances_val2017.json").write_text(json.dumps(info))
    val = parts(root)["val"]
    assert np.asarray(val.labels).tolist() == [[0, 0]]
    assert "has no annotations: of its 1 image no label is known" in val.remarks[0]
    change(root, annotations=[])
    train = parts(root)["train"]
    assert train.classes == ()
    assert len(train.remarks) == 1


def test_numbers_and_texts_of_the_same_digits_are_one_id(root):
    images = [image | {"id": str(image["id"])} for image in coco(NAMES)["images"]]
    change(root, images=images)
    assert np.asarray(parts(root)["train"].labels).tolist() == LABELS


def test_what_else_is_in_the_file_is_passed_over(root):
    extra = {"segmentation": {"counts": "abc", "size": [1, 2]}, "area": "large", "keypoints": [None]}
    annotations = [found | extra for found in coco(NAMES)["annotations"]]
    change(root, annotations=annotations, licenses=7, info=None)
    assert np.asarray(parts(root)["train"].labels).tolist() == LABELS


@pytest.mark.parametrize("bbox", [None, []])
def test_an_annotation_without_a_box_counts_as_a_label(root, bbox):
    changed_annotation(root, bbox=bbox)
    train = parts(root)["train"]
    assert np.asarray(train.labels).tolist() == LABELS
    assert train.objects[0].corners is None
    assert not train.remarks


@pytest.mark.parametrize("bbox", [[2, 3, 0, 5], [2, 3, -4, 5]])
def test_a_box_without_an_area_counts_as_a_label_and_is_told(root, bbox):
    changed_annotation(root, bbox=bbox)
    train = parts(root)["train"]
    assert np.asarray(train.labels).tolist() == LABELS
    assert train.objects[0].corners is None
    assert train.remarks[0].endswith(
        "1 box without an area, which count as labels and not as boxes: of image 10"
    )


def test_annotations_of_other_images_are_counted(root):
    annotations = coco(NAMES)["annotations"]
    change(root, annotations=[*annotations, annotations[0] | {"image_id": 99}])
    (remark,) = parts(root)["train"].remarks
    assert remark.endswith("1 annotation of images that it does not have left out")


def test_two_categories_of_one_name_are_one_class(root):
    change(root, categories=[{"id": 3, "name": "cat"}, *CATEGORIES])
    train = parts(root)["train"]
    assert train.classes == ("cat", "dog")
    assert np.asarray(train.labels).tolist() == [row[::-1] for row in LABELS]
    assert "more than one category is named cat: they count as one class" in train.remarks[0]


def test_categories_of_several_files_are_one_list_of_classes(root):
    cow = coco(["d.jpg"], categories=[{"id": 18, "name": "cow"}, {"id": 17, "name": "dog"}])
    (root / "annotations/instances_val2017.json").write_text(json.dumps(cow))
    listings = parts(root)
    assert listings["train"].classes == listings["val"].classes == ("dog", "cat", "cow")
    assert np.asarray(listings["val"].labels).tolist() == [[1, -1, 0]]
    assert "has no category cow, which another has" in listings["train"].remarks[0]


def test_an_image_that_is_not_there_is_left_to_the_check_of_images(root):
    (root / "train2017/b.jpg").unlink()
    assert parts(root)["train"].paths == ("train2017/a.jpg", "b.jpg", "train2017/c.jpg")


class WebServer(Tree):
    """Files that can be read and not listed."""

    def __init__(self, folder: Path) -> None:
        super().__init__("https://images.example/coco/")
        self._folder = LocalTree(str(folder))

    is_listable = False
    files = property(lambda self: pytest.fail("was asked for its files"))

    def open(self, path: str) -> BinaryIO:
        return self._folder.open(path)

    def read(self, path: str) -> bytes:
        return self._folder.read(path)

    def stamp(self, path: str) -> None:
        return None


def test_on_a_web_server_an_image_is_where_coco_url_or_its_name_says(root):
    urls = ["https://images.example/coco/train2017/a.jpg", "https://elsewhere.example/b.jpg", ""]
    images = [image | {"coco_url": url} for image, url in zip(coco(NAMES)["images"], urls, strict=True)]
    change(root, images=images)
    files = {split: f"annotations/instances_{split}2017.json" for split in ("train", "val")}
    asked = Dataset(name="any", kind="coco", root="any", train="train", test="val", files=files)
    train = list_coco(WebServer(root), asked)["train"]
    assert train.paths == ("train2017/a.jpg", "b.jpg", "c.jpg")
    assert train.ids == ("a", "b", "c")


def test_two_names_of_one_image_are_told_in_a_line(root):
    change(root, images=[*coco(NAMES)["images"], {"id": 9, "file_name": "train2017/a.jpg"}])
    assert "train2017/a.jpg is listed twice" in refusal(root)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"images": []}, "names no images"),
        ({"images": None}, "Expected `array`, got `null` - at `$.images`"),
        ({"categories": []}, "of category 17, and there is none of that id; add it to categories"),
        ({"categories": [*CATEGORIES, CATEGORIES[0]]}, "two of categories have the id 18; give each its own"),
        ({"categories": [{"id": 17, "name": " "}]}, "category 17 is named ' ', which is no name"),
        (
            {"images": [*coco(NAMES)["images"], {"id": 10, "file_name": "x.jpg"}]},
            "two of images have the id 10",
        ),
        (
            {"images": [*coco(NAMES)["images"], {"id": 9, "file_name": "a.jpg"}]},
            "a.jpg is the file of image 10 and of 9; remove one",
        ),
        ({"images": [{"id": 10}]}, "missing required field `file_name`"),
        ({"images": [{"id": 10, "file_name": "../a.jpg"}]}, "image 10: '../a.jpg' is no name of an image"),
        (
            {"images": [{"id": 10, "file_name": "/tmp/a.jpg"}]},
            "image 10: '/tmp/a.jpg' is no name of an image",
        ),
        ({"images": [{"id": 10, "file_name": "x\\a.jpg"}]}, "is no name of an image"),
        ({"images": [{"id": 10, "file_name": "s3://b/a.jpg"}]}, "is no name of an image"),
        ({"images": [{"id": 10, "file_name": "x.tar#a.jpg@1+2"}]}, "has the form of an address"),
        ({"images": [{"id": 10, "file_name": "nowhere.jpg"}]}, "none of its 1 image is in"),
        ({"images": [{"id": 7, "file_name": "a.jpg"}]}, "its annotations are of other images than it has"),
        ({"annotations": [{"image_id": 10, "caption": "a cat"}]}, "missing required field `category_id`"),
    ],
)
def test_lists_that_are_wrong_are_told_in_a_line(root, lists, message):
    change(root, **lists)
    assert message in refusal(root)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"category_id": 5}, "an annotation of image 10 is of category 5, and there is none of that id"),
        ({"category_id": None}, "$.annotations[0].category_id"),
        ({"image_id": 10.5}, "$.annotations[0].image_id"),
        ({"iscrowd": 2}, "iscrowd of an annotation of image 10 is 2; allowed: 0, 1"),
        ({"iscrowd": "0"}, "$.annotations[0].iscrowd"),
        ({"bbox": ["2", "3", "4", "5"]}, "$.annotations[0].bbox[0]"),
        ({"bbox": [2, 3, 4]}, "bbox of an annotation of image 10 is [2.0, 3.0, 4.0]; [x, y, width, height]"),
        ({"bbox": [1e300, 3, 4, 5]}, "[x, y, width, height] in pixels is needed"),
    ],
)
def test_an_annotation_that_is_wrong_is_told_in_a_line(root, fields, message):
    changed_annotation(root, **fields)
    assert message in refusal(root)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": [NaN]}', "cats", '{"a": ' * 5000])
def test_what_is_no_file_of_coco_is_told_in_a_line(root, text):
    (root / "annotations/instances_train2017.json").write_text(text)
    assert "instances_train2017.json: not a JSON of COCO's" in refusal(root)


def test_not_a_number_is_none(root):
    path = root / "annotations/instances_train2017.json"
    path.write_text(path.read_text().replace("0.4", "NaN"))
    assert "invalid character" in refusal(root)


def test_a_split_without_a_file_is_told_in_a_line(root):
    assert "no file of split val; there are: train" in refusal(root, files={"train": "x.json"})
    assert "dataset.files: " in refusal(root, files="x.json")
    assert "no such file" in refusal(root, files="x.json")
    assert "../x.json: give a path from dataset.root that stays in it" in refusal(root, files="../x.json")
    (root / "annotations/instances_val2017.json").rename(root / "annotations/instances_vla2017.json")
    told = refusal(root)
    assert "no instances_val.json, val.json or val/_annotations.coco.json; set dataset.files" in told
    assert "there are: annotations/instances_train2017.json, annotations/instances_vla2017.json" in told


def test_two_files_that_may_be_a_split_are_told_in_a_line(root):
    write_coco(root / "train.json", NAMES)
    assert "each may be the split train; say which in dataset.files" in refusal(root)


def test_two_images_that_may_be_meant_are_told_in_a_line(root):
    write_coco(root / "other/train.json", ["e.jpg"], root / "x")
    write_image(root / "y/e.jpg")
    files = {"train": "other/train.json", "val": "annotations/instances_val2017.json"}
    assert "of x/e.jpg and y/e.jpg each may be e.jpg; write the folder into file_name" in refusal(
        root, files=files
    )


def test_the_labels_and_boxes_are_those_that_pycocotools_reads(tmp_path):
    coco_tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    random = np.random.default_rng(0)
    categories = [{"id": int(number), "name": f"class {number}"} for number in random.permutation(90)[:7]]
    images = [{"id": int(n), "file_name": f"{n}.jpg"} for n in random.permutation(1000)[:60]]
    annotations = [
        {
            "id": number,
            "image_id": images[random.integers(50)]["id"],
            "category_id": categories[random.integers(7)]["id"],
            "bbox": random.uniform(1, 300, 4).round(2).tolist(),
            "iscrowd": int(random.random() < 0.2),
        }
        for number in range(300)
    ]
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    file = read_coco_file(path.read_bytes(), "f")
    theirs = coco_tools.COCO(path)
    assert [theirs.cats[c["id"]]["name"] for c in categories] == list(file.classes)
    labels = np.full((60, 7), -1)
    boxes = []
    for row, image in enumerate(images):
        for found in theirs.loadAnns(theirs.getAnnIds(image["id"])):
            column = [c["id"] for c in categories].index(found["category_id"])
            labels[row, column] = max(labels[row, column], 1 - found["iscrowd"])
            x, y, width, height = found["bbox"]
            boxes.append((x, y, x + width, y + height))
    assert isinstance(file.labels(file.classes), Labels)
    assert np.asarray(file.labels(file.classes)).tolist() == labels.tolist()
    ours = np.array([box.corners for box in file.boxes([str(n) for n in range(60)])], float)
    assert np.abs(ours - [1, 1, 0, 0] - boxes).max() <= 0.5 + 1e-9

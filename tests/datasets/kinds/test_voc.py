from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from devkit import write_annotation, write_devkit, write_list
from hypothesis import given, settings
from hypothesis import strategies as st
from listed import listed

from pool5.datasets.kinds.voc import VOC_CLASSES, find_devkit, in_order
from pool5.datasets.roots import open_tree
from pool5.errors import UserError
from pool5.labels import Labels

# the development kit's own tables: positives and only-difficult, class by class
TRAINVAL_2007 = (
    "238/2 243/12 330/3 181/7 244/18 186/11 713/48 337/7 445/127 141/5 "
    "200/63 421/9 287/7 245/4 2008/87 245/28 96/1 229/143 261/2 256/23"
)
TEST_2007 = (
    "204/1 239/11 282/7 172/4 212/28 174/9 721/54 322/10 417/128 127/0 "
    "190/57 418/15 274/5 222/11 2007/90 224/30 97/1 223/132 259/0 229/26"
)


def counts(labels: Labels) -> str:
    return " ".join(
        f"{present}/{difficult}" for present, difficult in zip(labels.count(1), labels.count(0), strict=True)
    )


@pytest.fixture
def two(tmp_path) -> Path:
    """A devkit of two splits with class lists."""
    return write_devkit(
        tmp_path / "kit",
        {
            "train": {"000001": [("cat", False), ("cat", True)], "000002": [("dog", True)]},
            "test": {"000003": [("cat", True), ("dog", False)], "000004": []},
        },
    )


def refusal(root: Path, train: str = "train", test: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        listed("voc", root, train, test or ("test" if train == "train" else train))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_label_lists_of_voc_2007_have_the_counts_of_its_development_kit(shared):
    listings = listed("voc", shared / "data/voc2007-labels", "trainval", "test", "val", ["train"])
    assert {split: len(part.ids) for split, part in listings.items()} == {
        "trainval": 5011, "test": 4952, "train": 2501, "val": 2510,
    }  # fmt: skip
    assert listings["test"].classes == VOC_CLASSES
    assert counts(listings["trainval"].labels) == TRAINVAL_2007
    assert counts(listings["test"].labels) == TEST_2007
    assert all(part.labels.shown().all() for part in listings.values())


def test_ids_of_voc_2007_keep_their_leading_zeros(shared):
    ids = listed("voc", shared / "data/voc2007-labels", "test", "test")["test"].ids
    assert ids[:2] == ("000001", "000002")


def test_lists_and_annotations_of_the_real_photographs_agree(shared):
    listings = listed("voc", shared / "data/voc2012-animals", "trainval", "test", "val")
    assert {split: len(part.ids) for split, part in listings.items()} == {
        "trainval": 600,
        "test": 600,
        "val": 150,
    }
    assert not any(part.remarks for part in listings.values())
    assert not any(part.disagreements for part in listings.values())
    empty = [
        name for name, images in zip(VOC_CLASSES, listings["test"].labels.count(1), strict=True) if not images
    ]
    assert empty == ["aeroplane", "bicycle", "boat", "train"]


def test_annotations_alone_give_the_labels_that_the_lists_give(shared, tmp_path):
    source = shared / "data/voc2012-animals/VOCdevkit/VOC2012"
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    shutil.copy(source / "ImageSets/Main/test.txt", tmp_path / "ImageSets/Main")
    (tmp_path / "Annotations").symlink_to(source / "Annotations")
    lists, annotations = (listed("voc", root, "test", "test")["test"] for root in (source, tmp_path))
    columns = [lists.classes.index(name) for name in annotations.classes]
    np.testing.assert_array_equal(annotations.labels, lists.labels.columns(columns))
    assert not np.delete(lists.labels.count(1), columns).any()


def test_a_class_is_present_difficult_or_absent(two):
    listings = listed("voc", two, "train", "test")
    assert listings["train"].classes == ("cat", "dog")
    np.testing.assert_array_equal(listings["train"].labels, [[1, -1], [-1, 0]])
    np.testing.assert_array_equal(listings["test"].labels, [[0, 1], [-1, -1]])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["cat", "dog", "cow"]), st.booleans()), max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_any_annotations_give_the_labels_of_their_lists(tmp_path_factory, objects):
    images = {f"{row:03d}": found for row, found in enumerate(objects)}
    images["999"] = [("cat", False), ("dog", False), ("cow", False)]
    root = tmp_path_factory.mktemp("law")
    lists = write_devkit(root / "lists", {"test": images})
    bare = write_devkit(root / "xml", {"test": images}, class_lists=False)
    by_lists, by_annotations = (listed("voc", kit, "test", "test")["test"] for kit in (lists, bare))
    np.testing.assert_array_equal(by_lists.labels, by_annotations.labels)
    assert not by_lists.disagreements


def test_where_lists_and_annotations_disagree_the_lists_count_and_the_image_is_named(two):
    write_annotation(two, "000002", [("dog", False)])
    part = listed("voc", two, "train", "train")["train"]
    np.testing.assert_array_equal(part.labels, [[1, -1], [-1, 0]])
    assert [(d.id, d.class_name, d.listed, d.annotated) for d in part.disagreements] == [
        ("000002", "dog", 0, 1)
    ]


def test_windows_line_ends_spaces_and_a_byte_order_mark_do_no_harm(two):
    write_list(two, "train", ["\ufeff000001  ", "", " 000002"], end="\r\n")
    write_list(two, "cat_train", ["000001   1 ", "000002 -1", ""], end="\r\n")
    part = listed("voc", two, "train", "train")["train"]
    assert part.ids == ("000001", "000002")
    np.testing.assert_array_equal(np.asarray(part.labels)[:, 0], [1, -1])


def test_the_class_train_and_the_split_train_are_told_apart(tmp_path):
    images = {"1": [("train", False)], "2": [("cat", False)]}
    write_devkit(tmp_path, {"train": images, "test": {"3": [("train", True)]}})
    assert (tmp_path / "ImageSets/Main/train_train.txt").is_file()
    listings = listed("voc", tmp_path, "train", "test")
    assert listings["train"].classes == ("cat", "train")
    assert sorted(listings) == ["test", "train"]


def test_a_split_whose_name_ends_like_another_keeps_its_own_class_lists(tmp_path):
    write_devkit(tmp_path, {"test": {"1": [("cat", False)]}, "my_test": {"2": [("cat", True)]}})
    listings = listed("voc", tmp_path, "test", "my_test")
    assert listings["test"].classes == ("cat",)
    assert [np.asarray(part.labels).tolist() for part in (listings["test"], listings["my_test"])] == [
        [[1]],
        [[0]],
    ]


def test_the_classes_of_a_devkit_of_ones_own_are_sorted(tmp_path):
    write_devkit(tmp_path, {"train": {"1": [("zebra", False), ("cat", False), ("okapi", True)]}})
    part = listed("voc", tmp_path, "train", "train")["train"]
    assert part.classes == ("cat", "okapi", "zebra")
    assert np.asarray(part.labels).tolist() == [[1, 0, 1]]


@given(st.sets(st.sampled_from(VOC_CLASSES)))
def test_any_subset_of_the_twenty_keeps_their_order(names):
    assert list(in_order(names)) == [name for name in VOC_CLASSES if name in names]


def test_boxes_are_read_as_they_stand_and_parts_of_an_object_are_not_objects(two):
    path = two / "Annotations/000001.xml"
    path.write_text(
        "<annotation><object><name>cat</name><truncated>1</truncated>"
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        "<bndbox><xmax>45.70</xmax><xmin>4</xmin><ymin> 5 </ymin><ymax>9</ymax></bndbox>"
        "</object></annotation>"
    )
    (box,) = [box for box in listed("voc", two, "train", "train")["train"].objects if box.id == "000001"]
    assert (box.name, box.difficult, box.truncated, box.corners) == ("cat", False, True, (4, 5, 46, 9))


@pytest.mark.parametrize("inside", ["", "VOCdevkit/VOC2007", "VOCdevkit/VOC2012", "VOC2012"])
def test_the_devkit_is_found_in_its_folder_or_above_it(tmp_path, inside):
    devkit = write_devkit(tmp_path / inside, {"test": {"1": [("cat", False)]}})
    assert tmp_path / find_devkit(open_tree(str(tmp_path))) == devkit
    (path,) = listed("voc", tmp_path, "test", "test")["test"].paths
    assert (tmp_path / path).is_file()


def test_images_that_are_no_jpegs_are_found(two):
    (two / "JPEGImages/000001.jpg").rename(two / "JPEGImages/000001.PNG")
    assert listed("voc", two, "train", "train")["train"].paths[0] == "JPEGImages/000001.PNG"


def test_only_the_splits_that_are_named_are_read(two):
    write_list(two, "class", ["cat", "dog"])
    write_list(two, "broken", ["000001", "000001"])
    assert list(listed("voc", two, "train", "train")) == ["train"]
    assert list(listed("voc", two, "train", "train", None, ["test"])) == ["train", "test"]


def test_a_root_that_is_not_there(tmp_path):
    assert "nowhere: no such folder; put the data set there" in refusal(tmp_path / "nowhere")


def test_a_root_that_holds_no_devkit_says_what_was_expected(tmp_path):
    assert "expected JPEGImages, Annotations and ImageSets/Main in it, in VOCdevkit/VOC2007" in refusal(
        tmp_path
    )


def test_a_root_that_holds_two_devkits_asks_for_one(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        write_devkit(tmp_path / "VOCdevkit" / year, {"test": {"1": [("cat", False)]}})
    assert "more than one devkit" in refusal(tmp_path)


def test_a_split_that_is_not_there_lists_those_that_are(two):
    assert "tset.txt: no such split (did you mean test?); there are: test, train" in refusal(two, "tset")


def test_an_empty_split(two):
    write_list(two, "test", [""])
    assert "test.txt: an empty split" in refusal(two)


def test_an_id_twice(two):
    write_list(two, "train", ["000001", "000002", "000001"])
    assert "000001 is listed twice" in refusal(two)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\\b", "a/../b", "a//b", "a\tb"])
def test_a_name_that_leads_out_of_the_folder(two, name):
    write_list(two, "train", ["000001", name])
    assert "is no name of an image" in refusal(two)


def test_a_class_list_with_an_id_that_is_not_in_the_split(two):
    write_list(two, "cat_test", ["000003  0", "000004 -1", "00004 -1"])
    assert "cat_test.txt:3: 00004 is not in the split's own list (did you mean 000004?)" in refusal(two)


def test_a_class_list_that_lacks_an_image(two):
    write_list(two, "cat_test", ["000003  0"])
    assert "1 images of the split have no label there, such as 000004" in refusal(two)


@pytest.mark.parametrize("line", ["000003", "000003 2", "000003 1 1", "000003 yes"])
def test_a_class_list_with_a_line_that_is_no_label(two, line):
    write_list(two, "cat_test", ["000004 -1", line])
    assert f"cat_test.txt:2: '{line}' is not an image's name and 1, -1 or 0" in refusal(two)


def test_a_typo_in_the_class_name_of_an_annotation(two):
    write_annotation(two, "000004", [("catt", False)])
    message = refusal(two)
    assert "000004.xml: unknown class 'catt' (did you mean cat?)" in message
    assert "lists for: cat, dog" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<annotation><object>", "not an annotation in XML"),
        ("", "not an annotation in XML"),
        ("<annotation><object></object></annotation>", "an object without a name"),
        (
            "<annotation><object><name>cat</name><difficult>maybe</difficult></object></annotation>",
            "allowed: 0, 1",
        ),
        ("<annotation><object><name>cat</name><bndbox/></object></annotation>", "without the four numbers"),
    ],
)
def test_a_damaged_annotation(two, text, problem):
    (two / "Annotations/000004.xml").write_text(text)
    message = refusal(two)
    assert "000004.xml" in message
    assert problem in message


def test_a_split_without_any_labels(two):
    write_list(two, "secret", ["000009"])
    message = refusal(two, "secret")
    assert "000009 has no label" in message
    assert "choose a split that is labelled" in message

"""Lists as other tools write them, and what they mean beside annotations that say something else."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from devkit import closed, write_annotation, write_devkit, write_image, write_list
from listed import listed

from pool5.datasets.listing import Listing
from pool5.errors import UserError

OBJECTS = {"1": [("cat", False)], "2": [("dog", True)], "3": [("cat", True), ("dog", False)], "4": []}
LABELS = [[1, -1], [-1, 0], [0, 1], [-1, -1]]


@pytest.fixture
def kit(tmp_path) -> Path:
    """A split of four images, cat and dog, with class lists and annotations."""
    return write_devkit(tmp_path, {"test": OBJECTS})


def part_of(kit: Path, *also: str) -> Listing:
    return listed("voc", kit, "test", "test", None, also)["test"]


def refusal(kit: Path) -> str:
    with pytest.raises(UserError) as caught:
        part_of(kit)
    message = str(caught.value)
    assert "\n" not in message
    return message


def without_annotations(kit: Path) -> None:
    for path in (kit / "Annotations").iterdir():
        path.unlink()


def named(tmp_path: Path, names: dict[str, str], suffix: str = ".jpg") -> Path:
    """A devkit with an image of a cat for each line of its list: {line: path without the ending}."""
    write_list(tmp_path, "test", list(names))
    write_list(tmp_path, "cat_test", [f"{name} 1" for name in names if not name.startswith("#")])
    for seed, path in enumerate(names.values()):
        write_image(tmp_path / f"JPEGImages/{path}{suffix}", seed)
        write_annotation(tmp_path, path, [("cat", False)]) if "/" not in path else None
    return tmp_path


# 1 and 0


def test_lists_that_write_0_for_absent_are_refused_where_nothing_else_says_what_is_absent(kit):
    without_annotations(kit)
    for name, lines in {"cat": ["1 1", "2 0", "3 1", "4 0"], "dog": ["1 0", "2 1", "3 1", "4 0"]}.items():
        write_list(kit, f"{name}_test", lines)
    assert "ImageSets/Main/*_test.txt: no -1 in any of the class lists" in (told := refusal(kit))
    assert "write -1 where a class is absent" in told


def test_lists_that_write_0_for_absent_give_way_to_the_annotations(kit):
    for name, lines in {"cat": ["1 1", "2 0", "3 1", "4 0"], "dog": ["1 0", "2 1", "3 1", "4 0"]}.items():
        write_list(kit, f"{name}_test", lines)
    part = part_of(kit)
    assert np.asarray(part.labels).tolist() == LABELS
    assert not part.disagreements
    (remark,) = part.remarks
    assert "have no -1, and 0 where the annotations show no difficult object" in remark


def test_a_0_that_is_a_difficult_object_is_one_though_no_list_has_a_minus_1(tmp_path):
    write_devkit(tmp_path, {"test": {"1": [("cat", False)], "2": [("cat", True)]}})
    part = part_of(tmp_path)
    assert (np.asarray(part.labels).tolist(), part.remarks) == ([[1], [0]], ())


def test_lists_of_nothing_but_positives_are_sound(tmp_path):
    write_devkit(tmp_path, {"test": {"1": [("cat", False)], "2": [("cat", False)]}})
    without_annotations(tmp_path)
    assert np.asarray(part_of(tmp_path).labels).tolist() == [[1], [1]]


def test_lists_that_contradict_the_annotations_of_every_image_are_refused(kit):
    write_list(kit, "cat_test", ["1 -1", "2  1", "3 -1", "4 1"])
    assert (
        "contradict the annotations of all 4 images that have one, such as 1 (cat -1, annotated 1)"
        in refusal(kit)
    )


# what is missing is not absent


def test_a_class_list_that_is_missing_is_replaced_by_the_annotations_and_told(kit):
    (kit / "ImageSets/Main/dog_test.txt").unlink()
    write_list(kit, "train", ["1"])
    write_list(kit, "cat_train", ["1 1"])
    write_list(kit, "dog_train", ["1 -1"])
    part = part_of(kit)
    assert (part.classes, np.asarray(part.labels).tolist()) == (("cat", "dog"), LABELS)
    assert part.remarks == (
        "ImageSets/Main has no list dog_test.txt: what test shows of these classes is taken from the "
        "annotations",
    )


@pytest.mark.parametrize("gone", [["1", "2", "3", "4"], ["3"]])
def test_a_class_list_that_is_missing_where_an_image_has_no_annotation_is_refused(kit, gone):
    (kit / "ImageSets/Main/dog_test.txt").unlink()
    write_list(kit, "train", ["1"])
    write_list(kit, "dog_train", ["1 -1"])
    for name in gone:
        (kit / f"Annotations/{name}.xml").unlink()
    message = refusal(kit)
    assert f"split test: {gone[0]} has no label for dog: there is neither a class list" in message
    assert "add one of them" in message


# names


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("my image", "my image"),
        ("shot 1", "shot 1"),
        ('"my image"', "my image"),
        ("a.jpg", "a"),
        ("a.JPG", "a"),
        ("my image.png", "my image"),
        ("IMG_1_jpg.rf.4f0c9", "IMG_1_jpg.rf.4f0c9"),
        ("IMG_1_jpg.rf.4f0c9.jpg", "IMG_1_jpg.rf.4f0c9"),
        ("v1.5", "v1.5"),
        ("#1", "#1"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("shot 9.41\u202fPM", "shot 9.41\u202fPM"),
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
        (unicodedata.normalize("NFD", "café"), unicodedata.normalize("NFC", "café")),
    ],
)
@pytest.mark.parametrize("lists", [True, False])
def test_a_name_of_a_list_is_found_as_tools_write_it(tmp_path, line, path, lists):
    kit = named(tmp_path, {line: path, "z": "z"})
    write_list(kit, "cat_test", [f"{line} 1", "z -1"]) if lists else (
        kit / "ImageSets/Main/cat_test.txt"
    ).unlink()
    part = part_of(kit)
    assert part.paths == (f"JPEGImages/{path}.jpg", "JPEGImages/z.jpg")
    assert np.asarray(part.labels)[:, 0].tolist() == [1, -1 if lists else 1]
    assert len(part.objects) == 2


def test_images_in_folders_have_their_annotations_in_folders(tmp_path):
    kit = named(tmp_path, {"a/1": "a/1", "b/1.jpg": "b/1"})
    for place, name in (("a", "cat"), ("b", "dog")):
        (kit / "Annotations" / place).mkdir(parents=True)
        write_annotation(kit, f"{place}/1", [(name, False)])
    (kit / "ImageSets/Main/cat_test.txt").unlink()
    part = part_of(kit)
    assert (part.ids, part.paths) == (("a/1", "b/1"), ("JPEGImages/a/1.jpg", "JPEGImages/b/1.jpg"))
    assert np.asarray(part.labels).tolist() == [[1, -1], [-1, 1]]


def test_comments_are_no_images(kit):
    write_list(kit, "test", ["# header", "1", "2", "# half", "3", "4"])
    write_list(kit, "cat_test", ["# header", "1 1", "2 -1", "3 0", "4 -1"])
    assert np.asarray(part_of(kit).labels).tolist() == LABELS


def test_two_pictures_that_differ_in_their_ending_are_told_apart_by_it(tmp_path):
    write_list(tmp_path, "test", ["a.jpg", "a.png"])
    write_list(tmp_path, "cat_test", ["a.jpg 1", "a.png -1"])
    for name in ("a.jpg", "a.png"):
        write_image(tmp_path / "JPEGImages" / name)
    part = part_of(tmp_path)
    assert (part.paths, np.asarray(part.labels)[:, 0].tolist()) == (
        ("JPEGImages/a.jpg", "JPEGImages/a.png"),
        [1, -1],
    )


def test_an_annotation_that_two_listed_pictures_would_share_is_refused(tmp_path):
    write_list(tmp_path, "test", ["a.jpg", "a.png"])
    write_annotation(tmp_path, "a", [("cat", False)])
    for name in ("a.jpg", "a.png"):
        write_image(tmp_path / "JPEGImages" / name)
    assert "Annotations/a.xml: a and a.png are both named as it; give each its own" in refusal(tmp_path)
    write_list(tmp_path, "test", ["a.png"])
    assert np.asarray(part_of(tmp_path).labels).tolist() == [[1]]


def test_a_name_in_both_forms_of_unicode_is_two_images(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    part = part_of(named(tmp_path, {decomposed: decomposed, composed: composed}))
    assert part.paths == (f"JPEGImages/{decomposed}.jpg", f"JPEGImages/{composed}.jpg")


def test_lists_may_have_a_name_in_either_form_of_unicode(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    kit = named(tmp_path, {decomposed: composed})
    write_list(kit, "val", [composed])
    listings = listed("voc", kit, "test", "val")
    assert [np.asarray(part.labels).tolist() for part in listings.values()] == [[[1]], [[1]]]


def test_a_name_twice_with_its_ending_and_without_is_twice(tmp_path):
    assert "a is listed twice" in refusal(named(tmp_path, {"a": "a", "a.jpg": "a"}))


@pytest.mark.parametrize("ending", ["XML", "Xml"])
def test_the_case_of_an_endings_letters_does_not_matter(kit, ending):
    for path in (kit / "ImageSets/Main").glob("*_test.txt"):
        path.unlink()
    for path in (kit / "Annotations").iterdir():
        path.rename(path.with_suffix(f".{ending}"))
    for path in (kit / "JPEGImages").iterdir():
        path.rename(path.with_suffix(".JPEG"))
    part = part_of(kit)
    assert (np.asarray(part.labels).tolist(), part.paths[0]) == (LABELS, "JPEGImages/1.JPEG")


def test_a_class_of_a_list_in_the_other_form_of_unicode_is_that_of_the_annotations(tmp_path):
    kit = write_devkit(tmp_path, {"test": {"1": [(unicodedata.normalize("NFC", "café"), False)], "2": []}})
    (path,) = (kit / "ImageSets/Main").glob("*_test.txt")
    path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    part = part_of(kit)
    assert (np.asarray(part.labels).tolist(), part.disagreements, part.remarks) == ([[1], [-1]], (), ())


def test_a_list_that_cannot_be_read_is_one_line(readable_by_others):
    kit = write_devkit(readable_by_others, {"test": OBJECTS})
    with closed(kit / "ImageSets/Main/cat_test.txt"):
        assert "cat_test.txt: cannot be read (Permission denied)" in refusal(kit)


# the image of a name


@pytest.mark.parametrize("beside", [["json"], ["JSON", "txt", "aae"], ["json", "xmp", "zip"]])
def test_a_file_beside_an_image_is_not_taken_for_it(kit, beside):
    (kit / "JPEGImages/1.jpg").rename(kit / "JPEGImages/1.png")
    for ending in beside:
        (kit / f"JPEGImages/1.{ending}").write_text("{}" * 5000)
    assert part_of(kit).paths[0] == "JPEGImages/1.png"


def test_an_image_of_an_unknown_ending_is_found_by_its_content(kit):
    (kit / "JPEGImages/1.jpg").rename(kit / "JPEGImages/1.photo")
    (kit / "JPEGImages/1.json").write_text("{}")
    (kit / "JPEGImages/2.jpg").rename(kit / "JPEGImages/2")
    assert part_of(kit).paths[:2] == ("JPEGImages/1.photo", "JPEGImages/2")


def test_where_nothing_can_be_read_the_largest_file_is_named(kit):
    (kit / "JPEGImages/1.jpg").unlink()
    (kit / "JPEGImages/1.raw").write_bytes(bytes(5000))
    (kit / "JPEGImages/1.json").write_text("{}")
    assert part_of(kit).paths[0] == "JPEGImages/1.raw"
    np.testing.assert_array_equal(part_of(kit).labels, LABELS)

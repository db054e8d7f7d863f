from __future__ import annotations

import numpy as np
import pytest
from devkit import closed, write_image
from listed import listed

from pool5.errors import UserError


def write(root, *names):
    for seed, name in enumerate(names):
        write_image(root / name, seed)
    return root


def test_splits_and_classes_are_folders(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "train/dog/2.PNG", "test/cat/1.jpg")
    listings = listed("folder", tmp_path, "train", "test")
    train = listings["train"]
    assert train.classes == listings["test"].classes == ("cat", "dog")
    assert train.ids == ("cat/1.jpg", "dog/1.jpg", "dog/2.PNG")
    assert train.paths == tuple(f"train/{image_id}" for image_id in train.ids)
    assert np.asarray(train.labels).tolist() == [[1, -1], [-1, 1], [-1, 1]]


def test_a_split_that_only_a_model_reads_is_listed_and_a_folder_beside_the_splits_is_not(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg", "source/fox/1.jpg", "backup/old/1.jpg")
    listings = listed("folder", tmp_path, "train", "test", also=["source"])
    assert sorted(listings) == ["source", "test", "train"]
    assert listings["test"].classes == ("cat", "fox")


def test_a_folder_without_images_is_no_class_nor_is_one_of_the_system(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/__MACOSX/1.jpg", "train/cat/@eaDir/1.jpg", "test/cat/1.jpg")
    for empty in ("train/empty", "train/lost+found"):
        (tmp_path / empty).mkdir()
    listings = listed("folder", tmp_path, "train", "test")
    assert (listings["train"].classes, listings["train"].ids) == (("cat",), ("cat/1.jpg",))


def test_links_to_folders_elsewhere_are_followed(tmp_path):
    write(tmp_path, "root/train/cat/1.jpg", "root/test/cat/1.jpg", "more/2.jpg", "more/deep/3.jpg")
    (tmp_path / "root/train/cat/more").symlink_to(tmp_path / "more")
    (tmp_path / "root/train/cat/again").symlink_to(tmp_path / "more/deep")
    (tmp_path / "more/deeper").symlink_to(tmp_path / "more/deep")
    ids = listed("folder", tmp_path / "root", "train", "test")["train"].ids
    assert ids == ("cat/1.jpg", "cat/again/3.jpg", "cat/more/2.jpg", "cat/more/deep/3.jpg")


def test_a_folder_of_a_class_that_cannot_be_read_is_told_in_one_line(readable_by_others):
    root = write(readable_by_others, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg")
    with (
        closed(root / "train/dog"),
        pytest.raises(UserError, match=r"dog: cannot be read \(Permission denied"),
    ):
        listed("folder", root, "train", "test")


def test_a_folder_that_cannot_be_read_beside_what_is_read_stops_nothing(readable_by_others):
    root = write(readable_by_others, *(f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(3)))
    (root / "lost+found").mkdir()
    with closed(root / "lost+found"):
        assert listed("folder", root, "train", "test")["test"].classes == ("cat", "dog")


def test_folders_in_a_class_belong_to_it_and_other_files_do_not(tmp_path):
    write(tmp_path, "train/cat/a/1.jpg", "train/cat/.thumbs/1.jpg", "train/cat/._1.jpg", "test/cat/1.jpg")
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    (tmp_path / "train/README.md").write_text("no class")
    assert listed("folder", tmp_path, "train", "test")["train"].ids == ("cat/a/1.jpg",)


def test_a_class_folder_may_be_a_link(tmp_path):
    write(tmp_path / "elsewhere", "cats/1.jpg")
    write(tmp_path / "root", "test/cat/1.jpg", "train/dog/1.jpg")
    (tmp_path / "root/train/cat").symlink_to(tmp_path / "elsewhere/cats")
    assert "cat/1.jpg" in listed("folder", tmp_path / "root", "train", "test")["train"].ids


@pytest.fixture
def unsplit(tmp_path):
    return write(tmp_path, *(f"{name}/{i}.png" for name in ("cat", "dog") for i in range(20)))


def test_without_split_folders_the_splits_are_drawn_class_by_class_and_that_is_told(unsplit):
    listings = listed("folder", unsplit, "train", "test", "val")
    told = "so they are drawn by a hash of the names: train 32, test 8, val 6"
    assert all(told in part.remarks[0] for part in listings.values())
    ids = {split: set(part.ids) for split, part in listings.items()}
    assert {split: len(part) for split, part in ids.items()} == {"train": 32, "test": 8, "val": 6}
    assert not ids["train"] & ids["test"]
    assert ids["val"] < ids["train"]
    assert [listings["test"].labels.count(1).tolist(), listings["test"].classes] == [
        [4, 4],
        ("cat", "dog"),
    ]
    assert all((unsplit / path).is_file() for path in listings["test"].paths)


def test_the_drawn_splits_are_the_same_each_time(unsplit):
    assert (
        listed("folder", unsplit, "train", "test")["test"].ids
        == listed("folder", unsplit, "train", "test")["test"].ids
    )


def test_too_few_images_to_draw_splits_from(tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg")
    with pytest.raises(UserError, match=r"too few images to draw the split test from"):
        listed("folder", tmp_path, "train", "test")


def test_a_missing_split_names_those_that_are_there(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "tests/cat/1.jpg")
    with pytest.raises(UserError, match=r"no folder test \(did you mean tests\?\); it has: tests, train"):
        listed("folder", tmp_path, "train", "test")


def test_an_empty_split(tmp_path):
    write(tmp_path, "train/cat/1.jpg")
    (tmp_path / "test/cat").mkdir(parents=True)
    with pytest.raises(UserError, match=r"test: an empty split; images belong in .*test/<class>/"):
        listed("folder", tmp_path, "train", "test")


def test_a_missing_root(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        listed("folder", tmp_path / "nowhere", "train", "test")


def test_a_name_that_cannot_be_printed(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "test/cat/a\nb.jpg")
    with pytest.raises(UserError, match=r"control characters, or not in UTF-8; rename it"):
        listed("folder", tmp_path, "train", "test")


@pytest.mark.parametrize(
    "name",
    [
        "at 9.41\u202fPM",
        "no\u00a0break",
        "wide\u3000space",
        "\U0001f469\u200d\U0001f52c",
        "\u0645\u06cc\u200c\u062e",
    ],
    ids=["narrow", "no-break", "ideographic", "emoji", "persian"],
)
def test_a_name_with_unusual_spaces_or_joiners_is_taken_as_it_is(tmp_path, name):
    write(tmp_path, f"train/{name}/{name}.jpg", "test/cat/1.jpg")
    assert listed("folder", tmp_path, "train", "test")["train"].ids == (f"{name}/{name}.jpg",)

from __future__ import annotations

import pytest
from devkit import write_image
from listed import listed

from pool5.errors import UserError


def write(root, *names):
    for seed, name in enumerate(names):
        write_image(root / name, seed)
    return root


def test_a_tree_of_images_is_split_by_draw_and_has_no_classes(tmp_path):
    write(tmp_path, *(f"a/{i}.jpg" for i in range(6)), *(f"b/c/{i}.png" for i in range(4)), ".trash/1.jpg")
    listings = listed("images", tmp_path, "train", "test")
    assert {split: len(part.ids) for split, part in listings.items()} == {"train": 8, "test": 2}
    assert listings["train"].classes == ()
    assert listings["train"].labels.shape == (8, 0)
    assert {*listings["train"].ids, *listings["test"].ids} == {
        *(f"a/{i}" for i in range(6)),
        *(f"b/c/{i}" for i in range(4)),
    }


def test_folders_named_as_splits_are_the_splits(tmp_path):
    write(tmp_path, "train/1.jpg", "train/x/2.jpg", "test/1.jpg", "other/1.jpg")
    listings = listed("images", tmp_path, "train", "test")
    assert {split: part.ids for split, part in listings.items()} == {
        "train": ("train/1", "train/x/2"),
        "test": ("test/1",),
    }


def test_ids_keep_their_suffixes_where_two_would_be_the_same(tmp_path):
    write(tmp_path, "train/1.jpg", "train/1.png", "test/2.jpg")
    assert listed("images", tmp_path, "train", "test")["train"].ids == ("train/1.jpg", "train/1.png")


def test_three_images_are_enough(tmp_path):
    listings = listed("images", write(tmp_path, "1.jpg", "2.jpg", "3.jpg"), "train", "test")
    assert [len(listings[split].ids) for split in ("train", "test")] == [2, 1]


def test_a_folder_without_images(tmp_path):
    with pytest.raises(UserError, match="too few images to draw the split train"):
        listed("images", tmp_path, "train", "test")


def test_a_missing_and_an_empty_split(tmp_path):
    write(tmp_path, "train/1.jpg", "tests/1.jpg")
    with pytest.raises(UserError, match=r"has no folder test \(did you mean tests\?\)"):
        listed("images", tmp_path, "train", "test")
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match="test: an empty split"):
        listed("images", tmp_path, "train", "test")

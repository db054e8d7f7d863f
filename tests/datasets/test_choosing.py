"""What params.yaml chooses of what a data set lists, and how splits are drawn."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.datasets.choosing import choose, with_classes
from pool5.datasets.kinds import list_splits
from pool5.datasets.listing import UNSPLIT, Listing, ObjectBox
from pool5.datasets.roots import open_tree
from pool5.errors import UserError
from pool5.labels import Labels
from pool5.params import Columns, Dataset
from pool5.results.dataset import Contradiction

CLASSES = ("cat", "cow", "dog")


def listing(number: int = 10, split: str = UNSPLIT, seed: int = 0) -> Listing:
    rng = np.random.default_rng(seed)
    ids = tuple(f"{split}{row}" for row in range(number))
    labels = Labels.dense(rng.choice([-1, -1, 0, 1], (number, 3)).astype(np.int8))
    boxes = tuple(ObjectBox(name, CLASSES[row % 3], False, None, None) for row, name in enumerate(ids))
    return Listing(split, CLASSES, ids, tuple(f"p/{name}.jpg" for name in ids), labels, boxes)


def dataset(kind: str = "images", val: str | None = None, **further: Any) -> Dataset:
    return Dataset(name="any", kind=kind, root="any", train="train", test="test", val=val, **further)


def chosen(parts: dict[str, Listing], folder: Path = Path(), **further: Any) -> dict[str, Listing]:
    return choose(parts, dataset(**further), "any", folder)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 60), st.booleans())
def test_drawn_splits_are_a_fifth_by_the_hash_of_the_paths(number, with_val):
    every = listing(number)
    parts = chosen({UNSPLIT: every}, val="val" if with_val and number > 4 else None)
    order = sorted(every.paths, key=lambda path: hashlib.blake2b(path.encode(), digest_size=8).digest())
    held_out = round(0.2 * number)
    assert set(parts["test"].paths) == set(order[:held_out])
    assert set(parts["train"].paths) == set(order[held_out:])
    assert list(parts["train"].ids) == [name for name in every.ids if name in set(parts["train"].ids)]
    assert all("they are drawn by a hash of the names: train" in part.remarks[0] for part in parts.values())


def test_a_split_to_test_on_is_drawn_from_train_as_from_all_images_and_is_in_no_other_split():
    every = listing(40)
    drawn = chosen({UNSPLIT: every}, val="val")
    whole = dataclasses.replace(every, split="train")
    found = chosen({"train": whole}, val="val")
    assert [part.ids for part in found.values()] == [part.ids for part in drawn.values()]
    assert list(found) == list(drawn) == ["train", "test", "val"]
    remark = (
        "there is no split test, so it is drawn from train by a hash of the names: train 32, test 8, val 6"
    )
    assert found["train"].remarks == (remark,)
    own = whole.rows(range(20), "val")
    found = chosen({"train": whole, "val": own}, val="val")
    assert found["test"].ids == drawn["test"].ids
    assert found["val"].ids == tuple(name for name in own.ids if name not in drawn["test"].ids)


def test_a_row_keeps_its_label_and_its_boxes_wherever_it_goes():
    every = listing(30)
    row_of = {name: row for row, name in enumerate(every.ids)}
    for part in chosen({UNSPLIT: every}, exclude=("*3.jpg",)).values():
        rows = [row_of[name] for name in part.ids]
        np.testing.assert_array_equal(np.asarray(part.labels), np.asarray(every.labels)[rows])
        assert [box.id for box in part.objects] == list(part.ids)
        assert not any(name.endswith("3") for name in part.ids)


def test_patterns_count_before_the_draw_and_lists_after_it(tmp_path):
    whole = chosen({UNSPLIT: listing(50)})
    out = whole["train"].ids[:10]
    (tmp_path / "out.txt").write_text("\n".join(out))
    listed = chosen({UNSPLIT: listing(50)}, tmp_path, exclude=("out.txt",))
    assert listed["test"].ids == whole["test"].ids
    assert listed["train"].ids == whole["train"].ids[10:]
    by_pattern = chosen({UNSPLIT: listing(50)}, exclude=tuple(f"/p/{name}.jpg" for name in out))
    assert (len(by_pattern["train"].ids), len(by_pattern["test"].ids)) == (32, 8)
    assert by_pattern["train"].remarks[0] == "dataset.include and exclude leave out 10 images"


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"include": ("a/",)}, ["a/1.jpg", "a/b/2.png"]),
        ({"include": ("*.png",)}, ["a/b/2.png"]),
        ({"include": ("/b/", "a/")}, ["a/1.jpg", "a/b/2.png", "b/3.jpg"]),
        ({"exclude": ("b/",)}, ["a/1.jpg", "s3://far/4.jpg"]),
        ({"exclude": ("*.jpg", "!a/*.jpg")}, ["a/1.jpg", "a/b/2.png"]),
        ({"include": ("a/",), "exclude": ("*.png",)}, ["a/1.jpg"]),
        ({"exclude": ("a/**/2.png", "far/")}, ["a/1.jpg", "b/3.jpg"]),
    ],
)
def test_patterns_are_those_of_a_gitignore(settings, left):
    paths = ("a/1.jpg", "a/b/2.png", "b/3.jpg", "s3://far/4.jpg")
    part = dataclasses.replace(listing(4, "test"), paths=paths)
    found = chosen({"train": part, "test": part}, **settings)
    assert list(found["test"].paths) == left


def test_what_is_in_archives_goes_by_its_name_there():
    paths = ("s-0.tar#cat/1.jpg@512+10", "s-0.tar#dog/1.jpg@1024+10", "t.parquet#image/0")
    part = dataclasses.replace(listing(3, "test"), paths=paths)
    found = chosen({"train": part, "test": part}, exclude=("cat/", "test2"))
    assert found["test"].ids == ("test1",)


def test_classes_are_in_the_users_order_and_under_the_users_names():
    part = dataclasses.replace(
        listing(9, "test"),
        disagreements=(Contradiction(id="test0", class_name="dog", listed=1, annotated=-1),),
    )
    found = with_classes({"test": part}, dataset(classes={"hound": "dog", "puss": "cat"}))["test"]
    assert found.classes == ("hound", "puss")
    np.testing.assert_array_equal(np.asarray(found.labels), np.asarray(part.labels)[:, [2, 0]])
    assert [box.name for box in found.objects] == ["puss", "hound"] * 3
    assert found.disagreements[0].class_name == "hound"
    only = int(((np.asarray(part.labels) == 1).any(1) & ~(np.asarray(found.labels) == 1).any(1)).sum())
    assert found.remarks == (
        f"dataset.classes leaves out 1 class of 3 (cow): {only} images of test showed only such",
    )


@given(st.permutations(CLASSES))
def test_all_classes_in_another_order_are_the_same_labels(order):
    part = listing(12, "test")
    found = with_classes({"test": part}, dataset(classes=tuple(order)))["test"]
    back = with_classes({"test": found}, dataset(classes=CLASSES))["test"]
    np.testing.assert_array_equal(np.asarray(back.labels), np.asarray(part.labels))
    assert (back.objects, back.remarks) == (part.objects, ())


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("dgo",), r"'dgo' is no class of the data set \(did you mean dog\?\); there are: cat, cow, dog"),
        (("dog", "dog"), "dog is named twice"),
        ({"a": "dog", "b": "dog"}, "dog is named twice"),
        ({"a\tb": "dog"}, "a name with control characters"),
    ],
)
def test_a_wrong_class_is_one_line(classes, told):
    with pytest.raises(UserError, match=told) as error:
        with_classes({"test": listing(3, "test")}, dataset(classes=classes))
    assert "\n" not in str(error.value)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["train", "test", "neither"]), min_size=8, max_size=20))
def test_lists_put_each_image_where_they_say_whatever_the_data_set_says(tmp_path_factory, where):
    if not {"train", "test"} <= set(where):
        return
    folder = tmp_path_factory.mktemp("lists")
    half = len(where) // 2
    names = [f"a{row}" for row in range(half)] + [f"b{row}" for row in range(len(where) - half)]
    for split in ("train", "test"):
        text = "\n".join(name for name, place in zip(names, where, strict=True) if place == split)
        (folder / f"{split}.txt").write_text(text)
    parts = {"a": listing(half, "a"), "b": listing(len(where) - half, "b")}
    found = chosen(parts, folder, lists={"train": "train.txt", "test": "test.txt"})
    for split in ("train", "test"):
        assert list(found[split].ids) == [n for n, place in zip(names, where, strict=True) if place == split]
    told = [remark for remark in found["train"].remarks if "in no list of a split that is read" in remark]
    assert bool(told) == ("neither" in where)


def test_an_image_that_two_splits_of_a_data_set_share_counts_once(tmp_path):
    part = listing(4, "a")
    (tmp_path / "1.txt").write_text("a0\np/a1.jpg\n")
    (tmp_path / "2.txt").write_text("a2\n./p/a3.jpg\n")
    found = chosen({"a": part, "b": part}, tmp_path, lists={"train": "1.txt", "test": "2.txt"})
    assert (found["train"].ids, found["test"].ids) == (("a0", "a1"), ("a2", "a3"))
    assert not found["train"].remarks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"1.txt: names no image"),
        ("# only this", r"1.txt: names no image"),
        ("a0\na0", r"1.txt:2: a0 is listed twice"),
        ("a0\np/a0.jpg", r"1.txt:2: p/a0.jpg is listed twice"),
        ("a0\n\npa1.jpg", r"1.txt:3: pa1.jpg is no image's id, nor a path from dataset.root"),
        ("a00\nb\nc", r"1.txt:1: a00 is no image's .* \(did you mean a0\?\), nor are 2 more names there"),
    ],
)
def test_a_wrong_list_is_one_line(tmp_path, text, told):
    (tmp_path / "1.txt").write_text(text)
    with pytest.raises(UserError, match=told) as error:
        chosen({"a": listing(4, "a")}, tmp_path, lists={"train": "1.txt", "test": "1.txt"})
    assert "\n" not in str(error.value)


def test_a_list_lies_in_the_project(tmp_path):
    for file, told in (("../1.txt", "no file of the project"), ("1.txt", "cannot be read")):
        with pytest.raises(UserError, match=told):
            chosen({"a": listing(4, "a")}, tmp_path, lists={"train": file, "test": file})


def test_an_exclude_list_has_parts_for_single_splits_and_what_it_names_in_vain_is_told(tmp_path):
    (tmp_path / "out.txt").write_text("# both\nb1\n[a]\nb2\na2\n[c]\na0\n")
    parts = {"a": listing(4, "a"), "b": listing(4, "b")}
    found = chosen(parts, tmp_path, exclude=("out.txt",))
    assert found["a"].ids == ("a0", "a1", "a3")
    assert found["b"].ids == ("b0", "b2", "b3")
    assert "out.txt leaves out 1 image of a" in found["a"].remarks
    (odd,) = (remark for remark in found["b"].remarks if "in no" not in remark and "has" in remark)
    assert odd == "out.txt has [c], which is no split that is read; 2 names of no image that is read: a0, b2"


def test_an_image_whose_name_looks_like_a_comment_can_be_listed(tmp_path):
    part = dataclasses.replace(listing(3, "a"), ids=("#1", "2", "3"))
    (tmp_path / "out.txt").write_text("# a comment\n#1\n")
    found = chosen({"a": part}, tmp_path, exclude=("out.txt",))["a"]
    assert (found.ids, found.remarks) == (("2", "3"), ("out.txt leaves out 1 image of a",))
    (tmp_path / "in.txt").write_text("# a comment\n#1\n")
    lists = {"train": "in.txt", "test": "in.txt"}
    assert chosen({"a": part}, tmp_path, lists=lists)["train"].ids == ("#1",)


def test_a_split_that_is_left_without_an_image_is_refused(tmp_path):
    (tmp_path / "out.txt").write_text("a0\na1\n")
    with pytest.raises(UserError, match=r"out\.txt: no image of the split a is left"):
        chosen({"a": listing(2, "a")}, tmp_path, exclude=("out.txt",))
    with pytest.raises(UserError, match=r"dataset\.include and exclude: no image of the split a is left"):
        chosen({"a": listing(2, "a")}, tmp_path, exclude=("*.jpg",))


@pytest.mark.parametrize("pattern", ["!", "#x", " ", "\\"])
def test_a_pattern_that_is_none_is_refused(pattern):
    with pytest.raises(UserError, match=r"dataset\.exclude: .* is no pattern as in a \.gitignore"):
        chosen({UNSPLIT: listing(5)}, exclude=(pattern,))


def test_a_class_that_no_label_names_is_one_all_the_same_and_is_told(tmp_path):
    rows = [f"{number}.jpg,{'cat' if number % 2 else 'dog'}" for number in range(10)]
    (tmp_path / "images.csv").write_text("\n".join(["path,labels", *rows]))
    asked = dataset("table", columns=Columns(labels="labels"), classes=("dog", "cow", "cat"))
    found = list_splits(asked, open_tree(str(tmp_path)), tmp_path)
    assert sum(part.labels.count(1) for part in found.values()).tolist() == [5, 0, 5]
    assert found["train"].classes == ("dog", "cow", "cat")
    assert "dataset.classes: no image shows cow" in found["train"].remarks

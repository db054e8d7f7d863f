from __future__ import annotations

import numpy as np
import pytest
from listed import listed

from pool5.errors import UserError


def write(root, *lines: str):
    (root / "images.csv").write_text("".join(f"{line}\n" for line in lines))
    return root


def test_a_table_says_splits_ids_and_labels(tmp_path):
    columns = "path,split,id,cat,traffic light"
    write(tmp_path, columns, "a/1.jpg,train,one,1,-1", "2.jpg,test,two,0,", "3.jpg,more,,1,1")
    listings = listed("table", tmp_path, "train", "test")
    assert {
        split: (part.ids, part.paths, np.asarray(part.labels).tolist()) for split, part in listings.items()
    } == {
        "train": (("one",), ("a/1.jpg",), [[1, -1]]),
        "test": (("two",), ("2.jpg",), [[0, 0]]),
        "more": (("3",), ("3.jpg",), [[1, 1]]),
    }
    assert listings["test"].classes == ("cat", "traffic light")


def test_in_a_table_of_ones_and_zeros_a_zero_is_an_absent_class(tmp_path):
    write(tmp_path, "path,split,cat", "1.jpg,train,1", "2.jpg,train,0", "3.jpg,test,")
    listings = listed("table", tmp_path, "train", "test")
    assert np.asarray(listings["train"].labels).tolist() == [[1], [-1]]
    assert np.asarray(listings["test"].labels).tolist() == [[0]]


def test_without_splits_they_are_drawn_and_without_labels_there_are_no_classes(tmp_path):
    listings = listed(
        "table", write(tmp_path, "path", *(f"{i}.jpg" for i in range(10))), "train", "test", "val"
    )
    assert {split: len(part.ids) for split, part in listings.items()} == {"train": 8, "test": 2, "val": 2}
    assert set(listings["val"].ids) < set(listings["train"].ids)
    assert listings["test"].labels.shape == (2, 0)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], r"no column path; it has none"),
        (["paths,cat", "1.jpg,1"], r"no column path \(did you mean paths\?\); it has paths, cat"),
        (["path,cat,cat", "1.jpg,1,1"], r"two of one name"),
        (["path,cat"], r"names no images"),
        (["path,cat", "1.jpg,1,1"], r"images.csv:2: 3 cells, and there are 2 columns"),
        (["path,cat", "1.jpg,yes"], r"images.csv:2: cat is 'yes'; allowed: 1, -1, 0, or nothing"),
        (["path", "../1.jpg"], r"images.csv:2: '../1.jpg' is no path"),
        (["path", "/etc/1.jpg"], r"images.csv:2: '/etc/1.jpg' is no path"),
        (["path,split", "1.jpg,train", "2.jpg,"], r"images.csv:3: '' is no name of a split"),
        (["path,split", "1.jpg,train", "2.jpg,tets"], r"no image of split test \(did you mean tets\?\)"),
        (["path,split", "1.jpg,train", "1.jpg,train", "2.jpg,test"], r"split train: 1 is listed twice"),
        (["path", "1.jpg", "1.jpg"], r"1.jpg is listed twice"),
        (["path", "1.jpg", "2.jpg"], r"too few images to draw the split test"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, lines, told):
    with pytest.raises(UserError, match=told) as error:
        listed("table", write(tmp_path, *lines), "train", "test")
    assert "\n" not in str(error.value)

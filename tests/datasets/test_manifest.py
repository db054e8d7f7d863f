from __future__ import annotations

import csv
import dataclasses
import hashlib

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.datasets import manifest as module
from pool5.datasets.manifest import Manifest, read_manifest, write_manifest
from pool5.errors import UserError


def manifest(n: int) -> Manifest:
    rng = np.random.default_rng(n)
    return Manifest(
        split="test",
        classes=("cat", "dog, large"),
        ids=np.array([f"{i:06d}" for i in range(n)], dtype=np.str_),
        paths=np.array([f"JPEGImages/{i:06d}.jpg" for i in range(n)], dtype=np.str_),
        digests=rng.integers(0, 256, (n, 16), dtype=np.uint8),
        sizes=rng.integers(1, 500, (n, 2)).astype(np.int32),
        labels=rng.integers(-1, 2, (n, 2)).astype(np.int8),
    )


@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_manifest_comes_back_as_it_was_written(tmp_path, n):
    written = manifest(n)
    write_manifest(written, tmp_path / "test.csv")
    read = read_manifest(tmp_path / "test.csv")
    assert (read.split, read.classes) == ("test", ("cat", "dog, large"))
    for name in ("ids", "paths", "digests", "sizes", "labels"):
        column, expected = getattr(read, name), getattr(written, name)
        assert column.shape == expected.shape
        np.testing.assert_array_equal(column, expected)


def test_ids_keep_their_leading_zeros(tmp_path):
    write_manifest(manifest(3), tmp_path / "test.csv")
    assert list(read_manifest(tmp_path / "test.csv").ids) == ["000000", "000001", "000002"]


def test_taking_rows_keeps_the_columns_together():
    whole = manifest(5)
    part = whole.take(np.array([4, 1]))
    assert list(part.ids) == ["000004", "000001"]
    np.testing.assert_array_equal(part.labels, whole.labels[[4, 1]])


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", "#,test\nid,path,digest,width,height,cat\n1,a.jpg,zz,1,1,1\n"]
)
def test_a_file_that_is_no_manifest_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"not a Pool5 manifest"):
        read_manifest(path)


def test_a_changed_cell_is_noticed(tmp_path):
    path = tmp_path / "test.csv"
    write_manifest(manifest(7), path)
    text = path.read_text()
    places = [at for at, letter in enumerate(text) if letter == "1" and at > text.index("\n")]
    for at in places[:: len(places) // 12]:
        path.write_text(text[:at] + "0" + text[at + 1 :])
        with pytest.raises(UserError, match="changed since it was written"):
            read_manifest(path)
    path.write_text(text + text.splitlines(keepends=True)[-1])
    with pytest.raises(UserError, match="changed since it was written"):
        read_manifest(path)


def test_a_row_names_the_classes_that_its_image_shows_or_may_show(tmp_path):
    labels = np.array([[1, -1], [0, 1], [-1, -1]], np.int8)
    write_manifest(dataclasses.replace(manifest(3), labels=labels), tmp_path / "test.csv")
    first, columns, *rows = csv.reader((tmp_path / "test.csv").read_text().splitlines())
    assert (first[:2], first[3:]) == (["#", "test"], ["cat", "dog, large"])
    assert columns == ["id", "path", "digest", "width", "height", "labels"]
    assert [row[-1] for row in rows] == ["0", "?0 1", ""]


@settings(deadline=None, max_examples=40)  # each writes a file
@given(
    names=st.lists(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1), unique=True),
    classes=st.lists(st.sampled_from(["cat", '"', ",", " a ", "?", "é"]), unique=True),
    data=st.data(),
)
def test_any_names_and_labels_come_back(tmp_path_factory, names, classes, data):
    shape = len(names), len(classes)
    labels = data.draw(arrays.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    path = tmp_path_factory.mktemp("any") / "test.csv"
    digests, sizes = np.zeros((len(names), 16), np.uint8), np.ones((len(names), 2), np.int32)
    write_manifest(Manifest("test", tuple(classes), names, names, digests, sizes, labels), path)
    read = read_manifest(path)
    assert (read.ids.tolist(), read.paths.tolist(), list(read.classes)) == (names, names, classes)
    np.testing.assert_array_equal(read.labels, labels)


def test_more_rows_than_are_written_at_once_make_up_one_file(tmp_path, monkeypatch):
    write_manifest(manifest(7), tmp_path / "whole.csv")
    monkeypatch.setattr(module, "_BLOCK", 3)
    write_manifest(manifest(7), tmp_path / "parts.csv")
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_manifest_with_a_column_a_class_has_to_be_written_again(tmp_path):
    body = "id,path,digest,width,height,cat\n1,1.jpg,{},3,4,1\n".format("00" * 16)
    digest = hashlib.sha256(body.encode()).hexdigest()
    (tmp_path / "test.csv").write_text(f"#,test,{digest}\n{body}")
    with pytest.raises(UserError, match="of an earlier version") as told:
        read_manifest(tmp_path / "test.csv")
    assert told.value.rerun == "dataset"


def test_a_long_name_does_not_widen_the_others():
    names = [str(number) for number in range(1000)] + ["x" * 4000]
    rows = np.zeros((1001, 16), np.uint8), np.zeros((1001, 2), np.int32)
    packed = Manifest("test", (), names, names, *rows, np.empty((1001, 0), np.int8))
    assert packed.ids.nbytes + packed.paths.nbytes < 40_000
    assert packed.ids[-1] == "x" * 4000

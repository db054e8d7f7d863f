"""Tables as they come: what is odd is read as it is meant, or told in one line that names the place."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from listed import listed

from pool5.errors import UserError
from pool5.params import Columns

LABELS = Columns(labels="labels")
HEAD = "path,split,cat\n"
ROWS = "1.jpg,train,1\n2.jpg,test,0\n"


def _labels(root, name, columns=LABELS):
    found = listed("table", root, files=name, columns=columns)
    return found["train"].classes, [np.asarray(part.labels).tolist() for part in found.values()]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + (HEAD + ROWS).encode(),
        (HEAD + ROWS).replace("\n", "\r\n").encode(),
        (HEAD + "\n" + ROWS + "\n\n").encode(),
        (HEAD + '"1.jpg" ,train,"1"\n 2.jpg , test,0'.replace('" ,', '",')).encode(),
    ],
)
def test_byte_order_marks_line_ends_and_spaces_say_nothing(tmp_path, content):
    (tmp_path / "images.csv").write_bytes(content)
    listings = listed("table", tmp_path)
    assert {split: part.paths for split, part in listings.items()} == {
        "train": ("1.jpg",),
        "test": ("2.jpg",),
    }


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "no column path; it has none"),
        ("a.csv", "path,caf\xe9\n1.jpg,1\n".encode("latin-1"), "not a CSV file in UTF-8"),
        ("a.csv", b'path,cat\n"1\n.jpg",1\n', r"a.csv:3: '1\\n.jpg' is no path of an image"),
        ("a.csv", b'path,cat\n"1.jpg,1\n', "not a CSV file in UTF-8"),
        ("a.csv", b'path,cat,cat\n1.jpg,1,1\n', "two of one name"),
        ("a.csv", b"path,cat\n" + b"x" * 200_000 + b",1\n", "field larger than field limit"),
        ("a.tsv", b"path,split\n1.jpg,train\n", r"no column path; it has path,split; dataset.columns"),
        ("a.csv", b"path\n..\\1.jpg\n", "no path of an image"),
        ("a.csv", b"path\nfile:///etc/passwd\n", r"a.csv:2: 'file:///etc/passwd' is read from no table"),
        ("a.csv", b"path\ndir::file:///etc/passwd\n", "is read from no table"),
        ("a.csv", b"path\nC:/1.jpg\n", "is read from no table"),
        ("a.csv", b"path\nhttps://me:secret@host/1.jpg\n", "is read from no table"),
        ("a.csv", b"path\na.tar#b.jpg@0+10\n", "would be read as a part of a file"),
        ("a.jsonl", b'{"path": "1.jpg"}\n[1]\n', "a.jsonl:2: not an object of JSON"),
        ("a.jsonl", b'{"path": "1.jpg"}\n{"path": \n', "a.jsonl:2: not an object of JSON"),
        ("a.jsonl", b'{"path": "1.jpg"}\n{"file": "2.jpg"}\n', r"a.jsonl:2: '' is no path"),
        ("a.jsonl", b'{"path": "1.jpg", "more": ' + b"[" * 100_000, "a.jsonl:1: not an object of JSON"),
        ("a.parquet", b"PAR1 or not", "no Parquet file"),
        ("a.parquet", b"", "no Parquet file"),
        ("a.txt", b"path\n", "no known kind of table"),
        ("../a.csv", b"path\n", "dataset.files: '../a.csv' is no name"),
        ("*.csv", None, "no such file"),
        ("b.csv", None, "b.csv: no such file"),
        ("b.parquet", None, "b.parquet: no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, name, content, told):
    if content is not None and ".." not in name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told) as error:
        listed("table", tmp_path, files=name)
    assert "\n" not in str(error.value)


def test_images_may_be_addresses(tmp_path):
    (tmp_path / "images.csv").write_text(
        "path,split\nhttps://host/a/1.jpg,train\ns3://bucket/1.jpg,train\ngs://b/2.jpg,test\n"
    )
    train = listed("table", tmp_path)["train"]
    assert train.paths == ("https://host/a/1.jpg", "s3://bucket/1.jpg")
    assert train.ids == ("https://host/a/1", "s3://bucket/1")


def _parquet(root, columns, name="images.parquet"):
    columns = {"path": ["1.jpg", "2.jpg", "3.jpg"], "split": ["train", "test", "test"]} | columns
    pq.write_table(pa.table(columns), root / name)
    return name


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["dog", None, "cat"]),
        pa.array(["dog", None, "cat"], pa.large_string()),
        pa.array(["dog", None, "cat"]).dictionary_encode(),
        pa.array([["dog"], None, ["cat", "cat", None]]),
        pa.array([["dog"], None, ["cat"]], pa.large_list(pa.large_string())),
        pa.array([["dog"], None, ["cat"]], pa.list_(pa.string(), 1)),
    ],
    ids=lambda values: str(values.type),
)  # fmt: skip
def test_names_of_any_type_of_text_are_labels_and_a_null_says_nothing(tmp_path, values):
    classes, labels = _labels(tmp_path, _parquet(tmp_path, {"labels": values}))
    assert classes == ("cat", "dog")
    assert labels == [[[-1, 1]], [[0, 0], [1, -1]]]


def test_an_empty_list_says_that_no_class_is_shown(tmp_path):
    assert _labels(tmp_path, _parquet(tmp_path, {"labels": [["a"], [], None]}))[1] == [[[1]], [[-1], [0]]]


@pytest.mark.parametrize("values", [[10, 9, -2], [10.0, 9.0, -2.0], [[10], [9], [-2]]])
def test_numbers_without_names_are_classes_in_the_order_of_size(tmp_path, values):
    assert _labels(tmp_path, _parquet(tmp_path, {"labels": values}))[0] == ("-2", "9", "10")


@pytest.mark.parametrize("values", [[{"a": 1}] * 3, [b"1"] * 3])
def test_a_column_that_holds_no_names_is_refused(tmp_path, values):
    with pytest.raises(UserError, match=r"the column labels holds .* no names of classes"):
        _labels(tmp_path, _parquet(tmp_path, {"labels": values}))


def test_columns_that_are_no_labels_are_named_in_a_remark(tmp_path):
    extra = {
        "cat": [1, 0, None],
        "caption": ["a cat", "", ""],
        "score": [0.5, 1.0, 1.0],
        "box": [[1], [2], []],
    }
    train = listed("table", tmp_path, files=_parquet(tmp_path, extra))["train"]
    assert train.classes == ("cat",)
    assert train.remarks == (
        f"{tmp_path}/images.parquet: 3 columns with no labels, not read: box, caption, score",
    )
    (part, _) = listed("table", tmp_path, columns=Columns(labels="caption")).values()
    assert "cat, score, box" in part.remarks[0]
    assert "2 images with nothing in the column caption" in part.remarks[1]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["cat", "dog", "cat;dog", "dog; cat;"], "'cat;dog' is one class, but looks like several labels"),
        (["cat", "dog", "cat|dog"], 'set dataset.columns.separator: "|"'),
        (["cat", "dog", "cat, dog", "dog, wild", "dog,cat"], 'set dataset.columns.separator: ","'),
        (["cat", "dog", "dog, wild", "dog, tame"], None),  # names with a comma
        (["a;b", "c;d", "e", "f"], None),
        ([["cat"], ["dog"], ["cat;dog"]], None),  # a list needs none
    ],
)
def test_a_class_that_looks_like_several_labels_is_told_once(tmp_path, cells, told):
    pq.write_table(
        pa.table({"path": [f"{n}.jpg" for n in range(9)], "labels": (cells * 9)[:9]}),
        tmp_path / "images.parquet",
    )
    listings = listed("table", tmp_path, columns=LABELS)
    remarks = [text for text in listings["train"].remarks if "looks like" in text]
    assert len(remarks) == (told is not None)
    assert not remarks or told in remarks[0]
    with_one = listed("table", tmp_path, columns=Columns(labels="labels", separator=";"))
    assert "looks like" not in str(with_one["train"].remarks)


def test_values_of_mixed_types_in_json_are_read_as_what_they_say(tmp_path):
    lines = [
        {"path": "1.jpg", "split": "train", "labels": ["a", "b"], "cat": 1, "id": 7},
        {"path": "2.jpg", "split": "test", "labels": "b", "cat": "0", "id": "x"},
        {"path": "3.jpg", "split": "test", "cat": True},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n\n" for line in lines))
    assert _labels(tmp_path, "a.jsonl") == (("a", "b"), [[[1, 1]], [[-1, 1], [0, 0]]])
    assert [part.ids for part in listed("table", tmp_path, files="a.jsonl", columns=LABELS).values()] == [
        ("7",),
        ("x", "3"),
    ]


def _write_hugging_face(root, labels, names=("cat", "dog"), images=None, form=lambda label: label):
    features = {"label": form({"names": names, "_type": "ClassLabel"})}
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    images = images or [{"bytes": b"1", "path": None}, {"bytes": b"2", "path": None}]
    for split in ("train", "test"):
        table = pa.table({"image": images, "label": labels}).replace_schema_metadata(noted)
        pq.write_table(table, root / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("labels", "form"),
    [
        ([1, -1], lambda label: label),
        ([[1], None], lambda label: {"feature": label, "_type": "List"}),
        ([[1], None], lambda label: {"feature": label, "length": -1, "_type": "Sequence"}),
        ([[1], None], lambda label: [label]),
    ],
)
def test_class_labels_have_their_names_and_order_and_minus_one_says_nothing(tmp_path, labels, form):
    _write_hugging_face(tmp_path, labels, ("zebra", "ape", "cow"), form=form)
    found = listed("table", tmp_path, columns=Columns(image="image", labels="label"))
    assert found["test"].classes == ("zebra", "ape", "cow")
    assert np.asarray(found["test"].labels).tolist() == [[-1, 1, -1], [0, 0, 0]]
    assert found["test"].paths[1] == "test-00000-of-00001.parquet#image/1"
    assert found["test"].ids == ("test-00000-of-00001/0", "test-00000-of-00001/1")


def test_a_class_label_beyond_its_names_is_refused_and_one_that_nobody_asked_for_is_told(tmp_path):
    _write_hugging_face(tmp_path, [1, 2])
    with pytest.raises(UserError, match=r"parquet: row 1: label is 2, and there are 2 classes"):
        listed("table", tmp_path, columns=Columns(image="image", labels="label"))
    (remark,) = listed("table", tmp_path, columns=Columns(image="image"))["train"].remarks
    assert "dataset.columns.labels does not name the column: label" in remark


def test_bytes_come_before_the_path_and_paths_are_taken_where_there_are_none(tmp_path):
    images = [{"bytes": b"1", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None]
    _write_hugging_face(tmp_path, [0, 0, 1], images=images)
    train = listed("table", tmp_path, columns=Columns(image="image", labels="label"))["train"]
    file = "train-00000-of-00001.parquet"
    assert train.paths == (f"{file}#image/0", "b.jpg", f"{file}#image/2")
    assert train.ids == (f"{file.removesuffix('.parquet')}/0", "b", f"{file.removesuffix('.parquet')}/2")
    images = [{"bytes": b"1", "path": "a.jpg"}, {"bytes": None, "path": "../b.jpg"}]
    _write_hugging_face(tmp_path, [0, 1], images=images)
    with pytest.raises(UserError, match=r"row 1: '../b.jpg' is no path"):
        listed("table", tmp_path, columns=Columns(image="image", labels="label"))


def test_a_struct_without_bytes_is_a_path_and_one_without_either_is_refused(tmp_path):
    split = {"split": ["train", "test"]}
    pq.write_table(
        pa.table({"image": [{"path": "1.jpg"}, {"path": "2.jpg"}]} | split), tmp_path / "a.parquet"
    )
    found = listed("table", tmp_path, files="a.parquet", columns=Columns(image="image"))
    assert [part.paths for part in found.values()] == [("1.jpg",), ("2.jpg",)]
    for odd in ([{"url": "1.jpg"}] * 2, [[1], [2]], [1, 2]):
        pq.write_table(pa.table({"image": odd} | split), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=r"the column image holds .*no images"):
            listed("table", tmp_path, files="a.parquet", columns=Columns(image="image"))


def test_files_may_be_given_for_each_split_and_their_tables_must_agree(tmp_path):
    for split, classes in (("train", "cat,dog"), ("test", "dog,cat")):
        (tmp_path / f"{split}-list.csv").write_text(f"path,{classes}\n{split}.jpg,1,0\n")
    files = {"train": "train-*.csv", "test": "test-list.csv"}
    found = listed("table", tmp_path, files=files)
    assert [np.asarray(part.labels).tolist() for part in found.values()] == [[[1, -1]], [[-1, 1]]]
    (tmp_path / "test-list.csv").write_text("path,dog,cta\ntest.jpg,1,0\n")
    with pytest.raises(UserError, match=r"its columns are not those of .*: cat, cta"):
        listed("table", tmp_path, files=files)
    with pytest.raises(UserError, match="no file of split test"):
        listed("table", tmp_path, files={"train": "train-list.csv"})


def test_of_many_tables_few_are_open_at_once(tmp_path):
    for number in range(60):
        table = pa.table({"path": [f"{number}.jpg"], "split": ["test" if number else "train"]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (there + 30, limits[1]))
    try:
        assert len(listed("table", tmp_path, files="*.parquet")["test"].ids) == 59
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_two_tables_in_the_root_and_shards_in_two_folders_are_a_question(tmp_path):
    for folder in ("small", "large"):
        (tmp_path / folder).mkdir()
        _write_hugging_face(tmp_path / folder, [0, 1])
    with pytest.raises(UserError, match="tables in more than one folder: large, small"):
        listed("table", tmp_path)
    for name in ("images.csv", "images.jsonl"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"more than one table: images.csv, images.jsonl; name one"):
        listed("table", tmp_path)


def test_bytes_in_a_file_or_column_whose_name_fits_no_address_are_refused(tmp_path):
    for name, column in (("a.PARQUET", "image"), ("a.parquet#b.parquet", "image"), ("a.parquet", "im\nage")):
        pq.write_table(pa.table({column: [b"1", b"2"], "split": ["train", "test"]}), tmp_path / name)
        with pytest.raises(UserError, match="is no address; rename"):
            listed("table", tmp_path, files=name, columns=Columns(image=column))

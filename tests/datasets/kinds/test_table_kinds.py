"""A table in every format, by the tests that any kind must pass; and the format makes no difference."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from devkit import write_image
from hypothesis import given, settings
from hypothesis import strategies as st
from kind_tests import KindTests
from listed import listed

from pool5.params import Columns

CLASSES = ["cat", "dog", "owl"]


def _images(root: Path) -> list[dict]:
    rows = []
    for i in range(12):
        write_image(root / f"{i % 2}/{i}.jpg", i)
        labels = [name for bit, name in enumerate(CLASSES) if i >> bit & 1]
        rows.append(
            {"path": f"{i % 2}/{i}.jpg", "split": "test" if i % 4 == 0 else "train", "labels": labels}
        )
    return rows


def _delimited(delimiter: str, name: str):
    def write(root: Path) -> None:
        with (root / name).open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(["path", "split", "labels"])
            writer.writerows([row["path"], row["split"], "|".join(row["labels"])] for row in _images(root))

    return write


def _json_lines(root: Path) -> None:
    (root / "images.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _images(root)))


def _paths(root: Path) -> None:
    pq.write_table(pa.Table.from_pylist(_images(root)), root / "images.parquet")


def _bytes(root: Path) -> None:
    rows = _images(root)
    images = [(root / row.pop("path")).read_bytes() for row in rows]
    pq.write_table(pa.Table.from_pylist(rows).append_column("picture", [images]), root / "images.parquet")


def hugging_face(root: Path, images: dict[str, list], labels: dict[str, list[int]], names=CLASSES) -> None:
    """A data set as `Dataset.to_parquet` writes it: the features stand in the schema's metadata."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", kind), ("label", pa.int64())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (root / "data").mkdir(exist_ok=True)
    for split in images:
        half = (len(images[split]) + 1) // 2
        for part, rows in enumerate((slice(half), slice(half, None))):
            columns = {"image": images[split][rows], "label": labels[split][rows]}
            path = root / f"data/{split}-{part:05d}-of-00002.parquet"
            pq.write_table(pa.table(columns, schema), path, row_group_size=2)


def _hugging_face(root: Path) -> None:
    for i in range(12):
        write_image(root / f"{i}.jpg", i)
    images = [{"bytes": (root / f"{i}.jpg").read_bytes(), "path": f"{i}.jpg"} for i in range(12)]
    hugging_face(root, {"test": images[:4], "train": images[4:]}, {"test": [0, 1, 2, 0], "train": [0, 1] * 4})


class TestCsv(KindTests):
    kind, write = "table", _delimited(",", "images.csv")
    settings: ClassVar = {"columns": Columns(labels="labels", separator="|")}


class TestTsv(KindTests):
    kind, write = "table", _delimited("\t", "images.tsv")
    settings: ClassVar = {"columns": Columns(labels="labels", separator="|")}


class TestJsonLines(KindTests):
    kind, write = "table", _json_lines
    settings: ClassVar = {"columns": Columns(labels="labels")}


class TestPathsInParquet(KindTests):
    kind, write = "table", _paths
    settings: ClassVar = {"columns": Columns(labels="labels")}


class TestBytesInParquet(KindTests):
    kind, write = "table", _bytes
    settings: ClassVar = {"columns": Columns(image="picture", labels="labels")}


class TestHuggingFace(KindTests):
    kind, write = "table", _hugging_face
    settings: ClassVar = {"columns": Columns(image="image", labels="label")}


_word = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="|/\\#:."), min_size=1
)
_row = st.fixed_dictionaries(
    {
        "path": _word.map("{}.jpg".format),
        "split": st.sampled_from(["train", "test"]),
        "id": st.none() | st.integers(0, 10**6).map(str),
        "labels": st.none() | st.lists(_word, max_size=3, unique=True),
    }
)
_table = st.lists(
    _row, min_size=2, max_size=8, unique_by=(lambda row: row["path"], lambda row: row["id"] or row["path"])
)


@settings(max_examples=15, deadline=None)
@given(_table)
def test_the_same_table_in_four_formats_lists_the_same(tmp_path_factory, rows):
    rows[0]["split"], rows[1]["split"] = "train", "test"
    folder = tmp_path_factory.mktemp("four")
    cells = [
        [
            row["path"],
            row["split"],
            row["id"] or "",
            "" if row["labels"] is None else "|".join(row["labels"]) or "|",
        ]
        for row in rows
    ]
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter).writerows([["path", "split", "id", "labels"], *cells])
        (folder / name).write_text(text.getvalue(), newline="")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=3)

    def of(name):
        columns = Columns(labels="labels", separator="|")
        found = listed("table", folder, files=name, columns=columns)
        return {s: (p.classes, p.ids, p.paths, np.asarray(p.labels).tolist()) for s, p in found.items()}

    assert of("a.csv") == of("a.tsv") == of("a.jsonl") == of("a.parquet")


@pytest.mark.parametrize(
    "values", [["1", "", "0", "-1"], ["true", "false", "", "true"], ["1", "0", "0", "1"]]
)
def test_a_column_a_class_says_the_same_in_every_format(tmp_path, values):
    known = {"true": True, "false": False, "": None, "1": 1, "0": 0, "-1": -1}
    rows = [
        {"path": f"{n}.jpg", "split": split, "cat": value}
        for n, (split, value) in enumerate(zip(["train", "test"] * 2, values, strict=True))
    ]
    (tmp_path / "a.csv").write_text(
        "path,split,cat\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    )
    for row in rows:
        row["cat"] = known[row["cat"]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = [
        [np.asarray(part.labels).tolist() for part in listed("table", tmp_path, files=f"a.{ending}").values()]
        for ending in ("csv", "jsonl", "parquet")
    ]
    assert found[0] == found[1] == found[2]

"""The Lance table: what the feature files hold, all splits in one; a further layer is a further column."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pool5.errors import UserError
from pool5.store import lance_table
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.lance_table import open_table, write_table

from .small_file import content, write_small

lance = pytest.importorskip("lance", reason="pylance is not installed: there are no Lance tables")

ROWS = {"train": 40, "test": 23}


@pytest.fixture
def files(tmp_path: Path) -> list[FeatureFile]:
    return [written(tmp_path, split, rows) for split, rows in ROWS.items()]


def written(folder: Path, at: str, rows: int, name: str = "features", **changes: Any) -> FeatureFile:
    made = content(rows, seed=rows) | {"split": at} | changes
    return FeatureFile.open(write_small(folder / name / f"{at}.h5", rows, **made))


def vectors(table: Any, column: str, **asked: Any) -> np.ndarray:
    found = table.to_table(columns=[column], **asked)[column].combine_chunks()
    return np.asarray(found.flatten()).reshape(len(found), -1)


def test_a_table_has_the_rows_of_every_split_in_order_after_one_commit(files, tmp_path) -> None:
    uri = str(tmp_path / "d.lance")
    assert write_table(files, ["fc", "pool"], uri) == ["m/fc", "m/pool"]
    table = open_table(uri)
    assert table.version == 1
    assert table.schema.names == ["id", "digest", "split", "labels", "m/fc", "m/pool"]
    rows = table.to_table(columns=["id", "digest", "split", "labels"]).to_pydict()
    assert rows["split"] == ["train"] * 40 + ["test"] * 23
    assert rows["id"] == [name for file in files for name in file.ids]
    assert rows["digest"] == [digest.tobytes() for file in files for digest in file.digests]
    assert rows["labels"] == [list(file.labels_of(row)) for file in files for row in range(len(file))]
    for layer, dtype in (("fc", "f4"), ("pool", "f2")):
        found = vectors(table, f"m/{layer}")
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.concatenate([file.layer(layer) for file in files]))


def test_the_metadata_says_which_images_and_what_was_computed(files, tmp_path) -> None:
    write_table(files, ["fc"], str(tmp_path / "d.lance"))
    schema = open_table(str(tmp_path / "d.lance")).schema
    about = schema.field("m/fc").metadata
    assert about[b"feature_key_digest"].decode() == files[0].key_digest("fc")
    assert json.loads(about[b"feature_key"]) == files[0].key("fc")
    assert about[b"layer_digest.test"].decode() == files[1].layer_digest("fc")
    images = json.loads(schema.metadata[b"images"])
    assert [(split["split"], split["rows"]) for split in images] == [("train", 40), ("test", 23)]
    assert images[1]["ids_digest"] == files[1].ids_digest


def test_a_further_layer_is_a_further_column_and_rewrites_no_file(files, tmp_path) -> None:
    uri = tmp_path / "d.lance"
    write_table(files, ["fc"], str(uri))
    before = {path: path.stat().st_mtime_ns for path in uri.glob("data/*")}
    assert write_table(files[::-1], ["fc", "pool"], str(uri)) == ["m/pool"]  # in whichever order
    table = open_table(str(uri))
    assert table.version == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before
    np.testing.assert_array_equal(vectors(table, "m/pool")[:40], files[0].layer("pool"))
    np.testing.assert_array_equal(vectors(table, "m/pool")[40:], files[1].layer("pool"))
    assert json.loads(table.schema.field("m/pool").metadata[b"feature_key"])["node"] == "pool"


def test_a_layer_of_another_model_is_a_column_of_the_same_table(files, tmp_path) -> None:
    uri = str(tmp_path / "d.lance")
    write_table(files, ["fc"], uri)
    keys = {"blocks.1": FeatureKey("vit", "0" * 64, "blocks.1", {}, "fp32", "float32", 1)}
    others = []
    for split, rows in ROWS.items():
        layers = {"blocks.1": np.ones((rows, 4), "f4")}
        others.append(written(tmp_path, split, rows, "other", model="vit", layers=layers, keys=keys))
    assert write_table(others, ["blocks.1"], uri) == ["vit/blocks:1"]
    assert open_table(uri).schema.names[-2:] == ["m/fc", "vit/blocks:1"]


def test_the_same_export_again_writes_nothing(files, tmp_path) -> None:
    uri = str(tmp_path / "d.lance")
    write_table(files, ["fc", "pool"], uri)
    assert write_table(files, ["pool", "fc"], uri) == []
    assert open_table(uri).version == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": np.array([f"x{row}" for row in range(23)])}, "test has other ids there"),
        ({"labels": np.ones((23, 2), np.int8)}, "test has other labels there"),
        ({"digests": np.zeros((23, 16), np.uint8)}, "test has other images there"),
        ({"split": "val"}, "has the images of train, test of d, not train, val of d"),
        ({"layers": content(23)["layers"] | {"fc": np.ones((23, 5), "f4")}}, "a column m/fc of other values"),
    ],
)
def test_what_is_not_of_the_table_is_refused_in_a_line(files, tmp_path, changes, message) -> None:
    uri = str(tmp_path / "d.lance")
    write_table(files, ["fc"], uri)
    other = written(tmp_path, "test", 23, "other", **changes)
    with pytest.raises(UserError, match=message) as error:
        write_table([files[0], other], ["fc", "pool"], uri)
    assert "\n" not in str(error.value)
    assert open_table(uri).version == 1


def test_files_that_do_not_belong_together_and_foreign_tables_are_refused(files, tmp_path) -> None:
    uri = str(tmp_path / "d.lance")
    with pytest.raises(UserError, match="split test is given twice"):
        write_table([files[1], files[1]], ["fc"], uri)
    with pytest.raises(UserError, match="not of m on d"):
        write_table([files[0], written(tmp_path, "test", 23, "other", model="n")], ["fc"], uri)
    keys = content()["keys"] | {"fc": FeatureKey("net", "1" * 64, "fc", {}, "fp32", "float32", 1)}
    with pytest.raises(UserError, match="fc was computed in another way"):
        write_table([files[0], written(tmp_path, "test", 23, "other", keys=keys)], ["fc"], uri)
    assert not Path(uri).exists()
    lance.write_dataset(pa.table({"a": [1]}), uri)
    with pytest.raises(UserError, match="a Lance table that `pool5 export` did not write"):
        write_table(files, ["fc"], uri)


def test_a_damaged_table_is_one_line(files, tmp_path) -> None:
    write_table(files, ["fc"], str(tmp_path / "d.lance"))
    for manifest in tmp_path.glob("d.lance/_versions/*"):
        manifest.write_bytes(b"damaged")
    with pytest.raises(UserError, match="Lance cannot open it") as error:
        write_table(files, ["pool"], str(tmp_path / "d.lance"))
    assert "\n" not in str(error.value)


def test_without_lance_it_is_told_what_to_install(files, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(UserError, match=r"lance is not installed; run pip install 'pool5\[lance\]'"):
        write_table(files, ["fc"], str(tmp_path / "d.lance"))


def test_a_kill_before_the_commit_leaves_no_table_and_the_next_export_writes_it(
    files, tmp_path, monkeypatch
) -> None:
    uri, batches = str(tmp_path / "d.lance"), lance_table._batches

    def interrupted(*asked: Any):
        yield next(iter(batches(*asked)))
        raise KeyboardInterrupt

    monkeypatch.setattr(lance_table, "_batches", interrupted)
    with pytest.raises(BaseException):  # noqa: B017
        write_table(files, ["fc"], uri)
    assert open_table(uri) is None
    monkeypatch.setattr(lance_table, "_batches", batches)
    assert write_table(files, ["fc"], uri) == ["m/fc"]
    assert open_table(uri).count_rows() == 63


def test_class_and_split_are_filtered_before_the_nearest_are_sought(files, tmp_path) -> None:
    write_table(files, ["fc"], str(tmp_path / "d.lance"))
    found = open_table(str(tmp_path / "d.lance")).to_table(
        columns=["id", "split", "labels", "_distance"],
        nearest={"column": "m/fc", "q": files[1].layer("fc")[3], "k": 5},
        filter="split = 'test' AND array_has(labels, 'cat')",
        prefilter=True,
    )
    assert len(found) == 5
    assert set(found["split"].to_pylist()) == {"test"}
    assert all("cat" in labels for labels in found["labels"].to_pylist())


def test_a_table_in_a_bucket_is_as_one_in_a_folder(files, tmp_path, bucket) -> None:
    uri = f"{bucket}/tables/d.lance"
    assert open_table(uri) is None
    assert write_table(files, ["fc"], uri) == ["m/fc"]
    assert write_table(files, ["fc", "pool"], uri) == ["m/pool"]
    write_table(files, ["fc", "pool"], str(tmp_path / "d.lance"))
    assert open_table(uri).to_table().equals(open_table(str(tmp_path / "d.lance")).to_table())
    with pytest.raises(UserError, match="Lance cannot open it") as error:
        write_table(files, ["fc"], "s3://no-such-bucket/d.lance")
    assert "\n" not in str(error.value)


def test_a_batch_is_bounded_however_wide_the_rows(files, monkeypatch) -> None:
    monkeypatch.setattr(lance_table, "_BATCH_BYTES", 6 * 26)  # 5 float32 and 3 float16 a row
    schema = pa.schema([lance_table._field(files, layer) for layer in ("fc", "pool")])
    sizes = [batch.num_rows for batch in lance_table._batches(files, ["fc", "pool"], schema)]
    assert sizes == [6] * 6 + [4] + [6] * 3 + [5]

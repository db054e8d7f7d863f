from __future__ import annotations

import numpy as np
import pytest

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

"""An image in a row of a Parquet file: any row, in any order, by any thread; a bad file is a bad image."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pool5.images import parquet_rows
from pool5.images.address import Address
from pool5.images.budget import ANY_MEMORY, Budget, TooLarge, UnreadableImage
from pool5.images.image_bytes import read_bytes

ROWS = [bytes([n]) * (n * 37 % 200 + 1) for n in range(50)]


def _write(path, rows=ROWS, **options):
    pq.write_table(pa.table({"image": rows, "n": range(len(rows))}), path, **options)
    return path


def _read(path, row, column="image", budget=ANY_MEMORY):
    return read_bytes(Address.parse(f"{path.name}#{column}/{row}", path.parent), budget)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 49), max_size=60), st.integers(1, 60), st.sampled_from([1, 300, 1 << 20]))
def test_rows_are_the_same_in_any_order_whatever_is_kept(tmp_path, monkeypatch, order, group, piece):
    monkeypatch.setattr(parquet_rows, "_PIECE", piece)
    monkeypatch.setattr(parquet_rows, "_KEPT", 2 * piece)
    path = _write(tmp_path / "a.parquet", row_group_size=group)
    os.utime(path, ns=(group, group * 10**9 + piece))  # another file, however quickly it was written
    assert [_read(path, row) for row in order] == [ROWS[row] for row in order]


def test_neighbors_are_decoded_once(tmp_path, monkeypatch):
    path = _write(tmp_path / "a.parquet", row_group_size=10)
    decoded = []
    monkeypatch.setattr(parquet_rows, "values_of", lambda images: decoded.append(len(images)) or images)
    assert [_read(path, row) for row in range(50)] == ROWS
    assert decoded == [10] * 5


def test_threads_and_forked_processes_read_what_they_ask_for(tmp_path):
    path = _write(tmp_path / "a.parquet", row_group_size=7)
    order = np.random.default_rng(0).integers(0, 50, 300).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda row: _read(path, row), order)) == [ROWS[row] for row in order]
    with parquet_rows._rows.lock:  # as a fork may find it
        child = os.fork()
        if child == 0:
            os._exit(0 if _read(path, 3) == ROWS[3] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_replaced_file_is_read_anew(tmp_path):
    path = _write(tmp_path / "a.parquet")
    assert _read(path, 1) == ROWS[1]
    _write(tmp_path / "b.parquet", [b"new", b"newer"]).replace(path)
    assert _read(path, 1) == b"newer"


def test_structs_and_large_binaries_hold_bytes_too(tmp_path):
    images = pa.array([{"bytes": b"1", "path": "a"}, {"bytes": None, "path": "b"}, None])
    large = pa.array([b"x", None, b"z"], pa.large_binary())
    pq.write_table(pa.table({"im/age": images, "large": large}), path := tmp_path / "a.parquet")
    assert (_read(path, 0, "im/age"), _read(path, 2, "large")) == (b"1", b"z")
    for row, column in ((1, "im/age"), (2, "im/age"), (1, "large")):
        with pytest.raises(UnreadableImage, match="the row holds no image"):
            _read(path, row, column)


@pytest.mark.parametrize(
    ("row", "column", "told"),
    [(50, "image", "no row 50; it has 50"), (0, "picture", "no column picture"), (0, "n", "holds int64")],
)
def test_a_row_or_column_that_is_not_there_is_a_bad_image(tmp_path, row, column, told):
    with pytest.raises(UnreadableImage, match=told):
        _read(_write(tmp_path / "a.parquet"), row, column)


def test_a_foreign_missing_or_truncated_file_is_a_bad_image(tmp_path):
    path = _write(tmp_path / "a.parquet")
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[:-20], whole[len(whole) // 2 :], b"no Parquet at all"):
        path.write_bytes(content)
        with pytest.raises(UnreadableImage, match="no Parquet file"):
            _read(path, 0)
    path.unlink()
    with pytest.raises(UnreadableImage, match="cannot be read"):
        _read(path, 0)
    os.mkfifo(path)
    with pytest.raises(UnreadableImage, match="no regular file"):
        _read(path, 0)


def test_damaged_pages_are_a_bad_image(tmp_path):
    path = _write(tmp_path / "a.parquet", compression="zstd")
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match="damaged"):
        _read(path, 0)


def test_an_image_takes_no_more_than_the_budget(tmp_path):
    path = _write(tmp_path / "a.parquet", [b"x" * 5000, b"y"])
    with pytest.raises(TooLarge):
        _read(path, 0, budget=Budget(gb=1e-6))

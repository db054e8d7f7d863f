"""The stored neighbor graph: what was written is read, the same bytes twice, damage is told."""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from pool5.errors import UserError
from pool5.store.neighbor_file import GraphHead, GraphSplit, NeighborFile, graph_name, write_neighbors

SPLITS = ("train/2007 50%", ".", "été")


def write(path: Path, splits: tuple[str, ...] = SPLITS, rows: int = 5) -> dict:
    random = np.random.default_rng(0)
    head = GraphHead(
        dataset="toy",
        layer="net/fc7",
        metric="l2",
        depth=100,
        splits=tuple(GraphSplit(name, rows, f"ids of {name}", f"values of {name}") for name in splits),
    )
    pairs = {}
    for asking in splits:
        for found in splits:
            k = rows - (asking == found)
            nearest = np.argsort(random.random((rows, rows)), axis=1)[:, :k]
            pairs[asking, found] = (nearest, np.sort(random.random((rows, k)).astype(np.float32), axis=1))
    write_neighbors(path, head, ((*names, *arrays) for names, arrays in pairs.items()))
    return pairs


def test_what_was_written_is_read_under_any_split_names(tmp_path):
    pairs = write(tmp_path / "fc7.h5")
    graph = NeighborFile.open(tmp_path / "fc7.h5")
    assert (graph.dataset, graph.layer, graph.metric, graph.depth) == ("toy", "net/fc7", "l2", 100)
    assert (graph.splits, graph.engine, graph.recall) == (SPLITS, "exact", None)
    assert (graph.split(".").ids_digest, graph.split("été").layer_digest) == ("ids of .", "values of été")
    for (asking, found), (rows, distances) in pairs.items():
        read = graph.nearest(asking, found)
        assert (read[0].dtype, read[1].dtype) == (np.int64, np.float32)
        np.testing.assert_array_equal(read[0], rows)
        np.testing.assert_array_equal(read[1], distances)


def test_a_split_of_one_image_has_no_neighbors_in_itself(tmp_path):
    write(tmp_path / "fc7.h5", ("train", "test"), rows=1)
    graph = NeighborFile.open(tmp_path / "fc7.h5")
    assert [part.shape for part in graph.nearest("test", "test")] == [(1, 0), (1, 0)]
    assert [part.shape for part in graph.nearest("test", "train")] == [(1, 1), (1, 1)]


def test_the_lowest_recall_of_an_index_is_told_beside_its_factory(tmp_path):
    splits = (GraphSplit("a", 0, "", "", "IVF4,Flat", 0.97), GraphSplit("b", 0, "", ""))
    nothing = np.empty((0, 0))
    pairs = ((asking, found, nothing, nothing) for asking in "ab" for found in "ab")
    write_neighbors(tmp_path / "fc7.h5", GraphHead("toy", "net/fc7", "cosine", 3, splits), pairs)
    graph = NeighborFile.open(tmp_path / "fc7.h5")
    assert (graph.engine, graph.recall) == ("IVF4,Flat", 0.97)
    assert graph.split("b").recall is None


def test_the_same_content_gives_the_same_bytes_and_plain_h5py_reads_them(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.h5", ("train", "test"))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["train/test/rows"].shape == (5, 5)
        assert file["test/test/distances"].chunks is None


def test_every_byte_that_is_changed_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "fc7.h5"
    pairs = write(path, ("train", "test"), rows=3)
    whole = path.read_bytes()
    for at in range(0, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with contextlib.suppress(UserError):
            graph = NeighborFile.open(path)
            for names, (rows, distances) in pairs.items():
                read = graph.nearest(*names)
                np.testing.assert_array_equal(read[0], rows)
                np.testing.assert_array_equal(read[1], distances)


def test_what_is_wrong_is_said_with_the_stage_that_mends_it(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    h5py.File(tmp_path / "other.h5", "w").close()
    write(tmp_path / "old.h5")
    whole = (tmp_path / "old.h5").read_bytes()
    (tmp_path / "old.h5").write_bytes(whole.replace(b"pool5-neighbors 2 ", b"pool5-neighbors 99 ", 1))
    for name, message in [
        ("none", "no such neighbor graph"),
        ("text", "not a neighbor graph"),
        ("other", "not a neighbor graph"),
        ("old", "format version 99"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            NeighborFile.open(tmp_path / f"{name}.h5")
        assert error.value.rerun == "neighbors"
    write(tmp_path / "fc7.h5")
    with pytest.raises(UserError, match=r"no split tset; it has "):
        NeighborFile.open(tmp_path / "fc7.h5").nearest("tset", ".")


def test_only_a_graph_under_another_metric_says_so_in_its_name():
    assert graph_name("net/fc7", "l2", "l2") == "net/fc7"
    assert graph_name("net/fc7", "cosine", "l2") == "net/fc7@cosine"

"""Files from somebody else, sealed as ours are: whatever is not as the format says is one line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile
from pool5.store.header import FEATURES
from pool5.store.logits_file import KIND as LOGITS
from pool5.store.logits_file import read_logits
from pool5.store.neighbor_file import KIND as NEIGHBORS
from pool5.store.neighbor_file import NeighborFile
from tests.store.hostile import ROWS, write_features, write_graph, write_scores
from tests.store.small_file import HEADER, VERSION_1, seal


def put(name: str, **how: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return change


def link(name: str, target: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = target(file) if callable(target) else target

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((ROWS, 5), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (ROWS, 5), "f4")
    del file["layers/fc"]
    file.create_virtual_dataset("layers/fc", layout)


def attribute(name: str, value: object, of: str = "/") -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[of].attrs[name] = value

    return change


def loop(file: h5py.File) -> None:
    file["layers/again"] = file["/"]


def shape(**changes: object) -> Callable[[h5py.File], None]:
    whole = {"axes": "tokens,C", "pooled_from": None, "prefix_tokens": 1, "shape": [4, 5]}
    sound = {"axes": "C", "pooled_from": whole, "prefix_tokens": 0, "shape": [5]}
    return attribute("shape.fc", json.dumps(sound | changes))


ROOT = Path(__file__).parents[2]
WIDE = np.zeros((ROWS, 5), "f4")
HOSTILE = {
    "references": put("layers/fc", shape=(ROWS, 5), dtype=h5py.ref_dtype),
    "pointers to text": put("layers/fc", shape=(ROWS, 5), dtype=h5py.string_dtype()),
    "pointers to numbers": put("layers/fc", shape=(ROWS, 5), dtype=h5py.vlen_dtype("f4")),
    "ids of any length": put("ids", shape=(ROWS,), dtype=h5py.string_dtype()),
    "fewer rows": put("layers/fc", data=WIDE[:10]),
    "more rows": put("layers/fc", data=np.zeros((70, 5), "f4")),
    "fewer labels": put("labels", data=np.zeros((10, 2), "i1")),
    "labels of a third class": put("labels", data=np.zeros((ROWS, 3), "i1")),
    "a further axis": put("layers/fc", data=WIDE[..., None]),
    "no axis": put("layers/fc", data=np.float32(0)),
    "another dtype": put("layers/fc", data=WIDE.astype("f8")),
    "another byte order": put("layers/fc", data=WIDE.astype(">f4")),
    "pairs": put("layers/fc", shape=(ROWS, 5), dtype=[("a", "f2"), ("b", "f2")]),
    "chunks": put("layers/fc", data=WIDE, chunks=(6, 5)),
    "a filter": put("layers/fc", data=WIDE, compression="gzip"),
    "another file's bytes": put(
        "checksums/ids", shape=(1, 16), dtype="u1", external=[("/etc/passwd", 0, 16)]
    ),
    "a virtual dataset": virtual,
    "a link to another file": link("layers/fc", h5py.ExternalLink("/tmp/other.h5", "/x")),
    "a link within": link("layers/fc", h5py.SoftLink("/layers/pool")),
    "a group behind a link": link("checksums", h5py.ExternalLink("/tmp/other.h5", "/x")),
    "two names of one": link("layers/fc", lambda file: file["layers/pool"]),
    "a group that holds itself": loop,
    "a type with a name": link("layers/fc", np.dtype("f4")),
    "more than there should be": lambda file: file.create_dataset("more", data=WIDE),
    "less than there should be": lambda file: file.__delitem__("digest"),
    "no checksums": lambda file: file.__delitem__("checksums/layers/fc"),
    "other blocks of rows": attribute("block_rows", 1 << 62, "checksums/layers/fc"),
    "blocks of no rows": attribute("block_rows", 0, "checksums/layers/fc"),
    "an attribute more": attribute("note", "hello"),
    "an attribute of numbers": attribute("split", np.zeros(3)),
    "a model that is a path": attribute("model", "/tmp/escaped/x"),
    "a split that is a path": attribute("split", "../../../y"),
    "a split with a line": attribute("split", "test\n"),
    "classes that are none": attribute("classes", '{"cat": 1}'),
    "a class that cannot be shown": attribute("classes", '["cat", "\\u001b[2J"]'),
    "half a character": attribute("classes", '["cat", "\\ud800"]'),
    "a key that is none": attribute("feature_key.fc", "[" * 100_000),
    "a key of another type": attribute("feature_key.fc", '{"architecture": 1}'),
    "another version": attribute("format_version", 7),
    "a version that is not the header's": attribute("format_version", 1),
    "a layer without a shape": lambda file: file.attrs.__delitem__("shape.fc"),
    "a shape of no layer": attribute("shape.fc7", '{"shape": [5]}'),
    "a shape that is none": attribute("shape.fc", "[" * 100_000),
    "a shape that is a number": attribute("shape.fc", 5),
    "a shape of another width": shape(shape=[6]),
    "lengths below 1": shape(axes="", pooled_from=None, shape=[-1, -5]),
    "lengths without end": shape(axes="", pooled_from=None, shape=[5, *[1] * 100_000]),
    "a length that is huge": shape(axes="", pooled_from=None, shape=[10**18, 10**18]),
    "a length that is no number": shape(shape=[True]),
    "axes that are none": shape(axes="C,C"),
    "axes without lengths": shape(axes="H,W,C"),
    "more prefix tokens than tokens": shape(
        pooled_from={"axes": "tokens,C", "prefix_tokens": 9, "shape": [4, 5]}
    ),
    "channels that pooling cannot give": shape(pooled_from={"axes": "tokens,C", "shape": [5, 4]}),
    "pooled twice": shape(
        pooled_from={"axes": "C", "shape": [5], "pooled_from": {"axes": "C", "shape": [5]}}
    ),
    "a field more": shape(note="hello"),
    "pooled, under a key that is not": attribute(
        "shape.pool", '{"axes": "C", "shape": [3], "pooled_from": {"axes": "C", "shape": [3]}}'
    ),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_as_the_format_says_is_refused_in_one_line(tmp_path: Path, change: Callable) -> None:
    path = tmp_path / "test.h5"
    write_features(path)
    seal(path)
    FeatureFile.open(path)
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
    with pytest.raises(UserError) as told:
        FeatureFile.open(path)
    assert len(str(told.value).splitlines()) == 1
    assert told.value.rerun == "extract"


def test_a_header_of_version_1_over_what_version_2_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.h5"
    write_features(path)
    seal(path, dataclasses.replace(FEATURES, version=1))
    with pytest.raises(UserError, match="of another format"):
        FeatureFile.open(path)
    path.write_bytes(VERSION_1.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["shape.fc"] = '{"shape": [5]}'
    seal(path, dataclasses.replace(FEATURES, version=1))
    with pytest.raises(UserError, match=r"the attribute shape\.fc has no place here"):
        FeatureFile.open(path)


@pytest.mark.parametrize(
    "change",
    [
        attribute("ids_digest", "0" * 32),
        attribute("labels_digest", "0" * 32),
    ],
)
def test_digests_that_stand_for_other_ids_or_labels_are_refused_when_those_are_read(
    tmp_path: Path, change: Callable
) -> None:
    path = tmp_path / "test.h5"
    write_features(path)
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
    file = FeatureFile.open(path)
    with pytest.raises(UserError, match="is another one"):
        _ = file.ids, file.labels


def test_rows_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.h5"
    write_features(path)
    with h5py.File(path) as file:
        where, to = (file[name].id.get_offset() - HEADER for name in ("labels", "digest"))  # as HDF5 counts
    whole = path.read_bytes()
    assert whole.count(where.to_bytes(8, "little")) == 1
    path.write_bytes(whole.replace(where.to_bytes(8, "little"), to.to_bytes(8, "little")))
    seal(path)
    with pytest.raises(UserError, match="does not answer for all"):
        FeatureFile.open(path)


def test_graphs_and_logits_are_looked_at_in_the_same_way(tmp_path: Path) -> None:
    for write, kind, read, name in [
        (write_graph, NEIGHBORS, NeighborFile.open, "train/test/rows"),
        (write_scores, LOGITS, read_logits, "logits"),
    ]:
        for change in (
            put(name, shape=(3, 1), dtype=h5py.string_dtype()),
            put(name, shape=(1 << 40, 1 << 20), dtype="f4", chunks=True),
            link(name, h5py.ExternalLink("/tmp/other.h5", "/x")),
            attribute("splits" if kind is NEIGHBORS else "of", "../../x"),
        ):
            path = tmp_path / "file.h5"
            path.unlink(missing_ok=True)
            write(path)
            read(path)
            with h5py.File(path, "r+") as file:
                change(file)
            seal(path, kind)
            with pytest.raises(UserError) as told:
                read(path)
            assert len(str(told.value).splitlines()) == 1


def test_a_neighbor_that_is_no_row_is_refused(tmp_path: Path) -> None:
    from tests.store.hostile import GraphHead, GraphSplit, write_neighbors

    head = GraphHead("d", "m/fc", "l2", 1, (GraphSplit("test", 2, "", ""),))
    write_neighbors(tmp_path / "x.h5", head, [("test", "test", np.array([[1], [9]]), np.zeros((2, 1)))])
    with pytest.raises(UserError, match="none of its 2 rows"):
        NeighborFile.open(tmp_path / "x.h5").nearest("test", "test")


@pytest.mark.parametrize(("seed", "count"), [(0, 35), pytest.param(1, 700, marks=pytest.mark.long)])
def test_no_change_of_a_sealed_head_crashes_hangs_or_goes_unseen(
    tmp_path: Path, seed: int, count: int
) -> None:
    program = [
        sys.executable,
        "-m",
        "tests.store.hostile",
        str(tmp_path),
        str(seed),
        str(count),
    ]
    done = subprocess.run(program, capture_output=True, text=True, timeout=30 + count, check=False, cwd=ROOT)
    assert done.stdout.endswith("all seen\n"), (done.returncode, done.stdout[-200:], done.stderr[-2000:])

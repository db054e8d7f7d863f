from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.feature_key import FeatureKey
from pool5.store.layer_shape import LayerShape
from pool5.store.verify import verify_feature_file
from tests.store.small_file import VERSION_1, content, write_small


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, dict]:
    path, given_ = tmp_path / "test.h5", content()
    write_feature_file(path, **given_)
    return path, given_


def test_what_is_written_is_read(written: tuple[Path, dict]) -> None:
    path, given_ = written
    file = FeatureFile.open(path)
    assert (file.dataset, file.split, file.model, file.classes) == ("d", "test", "m", ("cat", "dog"))
    np.testing.assert_array_equal(file.ids, given_["ids"])
    np.testing.assert_array_equal(file.digests, given_["digests"])
    np.testing.assert_array_equal(file.labels, given_["labels"])
    for layer, rows in given_["layers"].items():
        np.testing.assert_array_equal(file.layer(layer), rows)
        assert file.feature_key(layer) == given_["keys"][layer]
        assert file.key_digest(layer) == given_["keys"][layer].hex
    assert len(file) == 7


def test_a_layer_is_a_read_only_map_at_the_offset_that_hdf5_tells(written: tuple[Path, dict]) -> None:
    path, _ = written
    layer = FeatureFile.open(path).layer("fc")
    assert isinstance(layer, np.memmap)
    assert not layer.flags.writeable
    with h5py.File(path) as plain:
        assert plain["layers/fc"].id.get_offset() == layer.offset
        assert plain["layers/fc"].chunks is None
        assert plain["layers/fc"].compression is None


def test_plain_h5py_reads_it_by_the_names_of_the_contract(written: tuple[Path, dict]) -> None:
    path, given_ = written
    with h5py.File(path) as plain:
        assert [name.decode() for name in plain["ids"][...]] == given_["ids"].tolist()
        np.testing.assert_array_equal(plain["digest"], given_["digests"])
        np.testing.assert_array_equal(plain["labels"], given_["labels"])
        np.testing.assert_array_equal(plain["layers/pool"], given_["layers"]["pool"])
        assert json.loads(plain.attrs["classes"]) == ["cat", "dog"]
        assert plain.attrs["format_version"] == 2
        assert json.loads(plain.attrs["feature_key.fc"])["node"] == "fc"
        assert list(plain.attrs) == sorted(plain.attrs)


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    digests = set()
    for number in range(3):
        given_ = content()
        given_["layers"] = dict(sorted(given_["layers"].items(), reverse=number % 2 == 1))
        write_feature_file(tmp_path / f"{number}" / "test.h5", **given_)
        digests.add(hashlib.md5((tmp_path / f"{number}" / "test.h5").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_every_flipped_bit_of_every_byte_is_caught(written: tuple[Path, dict]) -> None:
    path, _ = written
    sound = path.read_bytes()
    assert verify_feature_file(path) == []
    other = path.with_name("flipped.h5")
    missed = []
    with other.open("wb") as file:
        file.write(sound)
    # the header and the padding are long runs of like bytes: there a sample, everywhere else every byte
    dull = {at for at in range(len(sound)) if sound[max(0, at - 64) : at + 65] == bytes(min(at, 64) + 65)}
    places = [at for at in range(len(sound)) if at not in dull or at % 61 == 0]
    descriptor = os.open(other, os.O_WRONLY)
    for at in places:
        os.pwrite(descriptor, bytes([sound[at] ^ (1 << (at % 8))]), at)
        if not verify_feature_file(other):
            missed.append(at)
        os.pwrite(descriptor, sound[at : at + 1], at)
    os.close(descriptor)
    assert len(places) > 2000
    assert missed == []
    assert verify_feature_file(other) == []


def test_verify_names_the_layer_and_the_rows(written: tuple[Path, dict]) -> None:
    path, _ = written
    offset = FeatureFile.open(path).layer("pool").offset
    with path.open("r+b") as file:
        file.seek(offset + 4)
        file.write(b"\x55")
    assert len(problems := verify_feature_file(path)) == 1
    assert "layers/pool, rows 0 to 6: damaged" in problems[0]


@pytest.mark.parametrize("lost", [1, 100, 5000, -1, -100])
def test_a_file_cut_short_or_longer_is_refused(written: tuple[Path, dict], lost: int) -> None:
    path, _ = written
    data = path.read_bytes()
    path.write_bytes(data[:-lost] if lost > 0 else data + bytes(-lost))
    with pytest.raises(UserError, match=r"test\.h5: \d+ bytes, but \d+ were written"):
        FeatureFile.open(path)


def test_another_format_version_is_refused_by_its_number(written: tuple[Path, dict]) -> None:
    path, _ = written
    path.write_bytes(path.read_bytes().replace(b"pool5-features 2 ", b"pool5-features 4 ", 1))
    with pytest.raises(UserError, match="format version 4, but this program reads 1, 2, 3"):
        FeatureFile.open(path)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as plain:
        plain["x"] = 1
    (tmp_path / "empty.h5").touch()
    for name in ("plain.h5", "empty.h5"):
        with pytest.raises(UserError, match="not a feature file"):
            FeatureFile.open(tmp_path / name)
    with pytest.raises(UserError, match="no such feature file"):
        FeatureFile.open(tmp_path / "missing.h5")
    with pytest.raises(UserError, match="a folder"):
        FeatureFile.open(tmp_path)


def test_damaged_labels_are_refused_when_they_are_read(written: tuple[Path, dict]) -> None:
    path, _ = written
    with h5py.File(path) as plain:
        offset = plain["labels"].id.get_offset()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x09")
    file_ = FeatureFile.open(path)
    with pytest.raises(UserError, match="labels of rows 0 to 6 are damaged"):
        _ = file_.labels


def test_rows_finds_ids_in_the_order_asked_for(written: tuple[Path, dict]) -> None:
    file = FeatureFile.open(written[0])
    assert file.rows(["000005", "000001"]).tolist() == [5, 1]
    assert file.rows("000003").tolist() == [3]
    assert file.rows(["000005"]).dtype == np.int64


def test_an_unknown_id_is_answered_with_close_ones(written: tuple[Path, dict]) -> None:
    with pytest.raises(UserError, match=re.escape("no image 00001 in split test (did you mean ")) as told:
        FeatureFile.open(written[0]).rows(["00001"])
    assert "000001" in str(told.value)


def test_an_unknown_layer_is_answered_with_those_there_are(written: tuple[Path, dict]) -> None:
    with pytest.raises(UserError, match="no layer pool5; it has fc, pool"):
        FeatureFile.open(written[0]).layer("pool5")


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    given_ = content()
    given_["ids"][3] = given_["ids"][1]
    with pytest.raises(UserError, match="id 000001 occurs twice"):
        write_feature_file(tmp_path / "test.h5", **given_)
    assert not list(tmp_path.iterdir())


def test_a_layer_digest_tells_values_and_keys_apart(tmp_path: Path) -> None:
    def digest(change: str) -> str:
        given_ = content()
        if change == "value":
            given_["layers"]["fc"][6, 4] += 1
        if change == "key":
            given_["keys"]["fc"] = FeatureKey("net", "1" * 64, "fc", {}, "fp32", "float32", 1)
        if change == "labels":
            given_["labels"][:] = 1
        if change == "other layer":
            given_["layers"].pop("pool")
        write_feature_file(tmp_path / "test.h5", **given_)
        return FeatureFile.open(tmp_path / "test.h5").layer_digest("fc")

    assert digest("") == digest("labels") == digest("other layer")
    assert len({digest(""), digest("value"), digest("key")}) == 3


@settings(max_examples=25, deadline=None)
@given(
    ids=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
        unique=True,
        max_size=20,
    ),
    width=st.integers(1, 9),
)
def test_any_ids_and_any_number_of_rows_come_back(
    tmp_path_factory: pytest.TempPathFactory, ids: list, width: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "m/test.h5"
    rows = np.arange(len(ids) * width, dtype="f4").reshape(len(ids), width)
    given_ = content(len(ids)) | {"ids": np.array(ids, dtype=np.str_), "layers": {"fc": rows}}
    write_feature_file(path, **given_)
    file = FeatureFile.open(path)
    assert file.ids.tolist() == ids
    np.testing.assert_array_equal(file.layer("fc"), rows)
    assert verify_feature_file(path) == []
    if ids:
        assert file.rows(ids).tolist() == list(range(len(ids)))


def test_blocks_of_rows_have_checksums_of_their_own(tmp_path: Path) -> None:
    given_ = content(600)
    given_["layers"] = {"fc": np.random.default_rng(0).normal(size=(600, 1024)).astype("f4")}
    write_feature_file(tmp_path / "test.h5", **given_)
    layer = FeatureFile.open(tmp_path / "test.h5").layer("fc")
    with (tmp_path / "test.h5").open("r+b") as file:
        file.seek(layer.offset + 300 * 4096)
        file.write(bytes(4))
    (problem,) = verify_feature_file(tmp_path / "test.h5")
    assert "rows 256 to 511" in problem


TOKENS = LayerShape((261, 4), "tokens,C", 5)
POOLED = LayerShape((4,), "C", pooled_from=TOKENS)


def test_the_shape_of_a_layer_and_the_meaning_of_its_axes_are_read_again(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(2, 12)).astype("f4")
    key = content()["keys"]["fc"]
    shapes = {"map": LayerShape((3, 2, 2), "C,H,W"), "mean": POOLED}
    write_small(
        tmp_path / "test.h5",
        2,
        layers={"map": rows, "mean": rows[:, :4], "fc": rows},
        keys={"map": key, "mean": dataclasses.replace(key, pool="mean"), "fc": key},
        shapes=shapes,
    )
    file = FeatureFile.open(tmp_path / "test.h5")
    assert {layer: file.shape(layer) for layer in file.layers} == shapes | {"fc": LayerShape((12,))}
    with h5py.File(tmp_path / "test.h5") as plain:
        found = json.loads(plain.attrs["shape.map"])
        assert (found["axes"], found["shape"]) == ("C,H,W", [3, 2, 2])
        assert json.loads(plain.attrs["shape.mean"])["pooled_from"]["prefix_tokens"] == 5
        assert plain["layers/map"][1].reshape(found["shape"])[2, 1, 0] == rows[1, 10]


@pytest.mark.parametrize(
    "shape", [LayerShape((4,)), LayerShape((5,), "C", pooled_from=LayerShape((5,), "C"))]
)
def test_a_shape_that_is_not_that_of_the_rows_is_not_written(tmp_path: Path, shape: LayerShape) -> None:
    with pytest.raises(ValueError, match=r"rows of 5 values|is pooled"):
        write_small(tmp_path / "test.h5", shapes={"fc": shape})
    assert not list(tmp_path.iterdir())


def test_a_file_of_version_1_is_read_and_its_digests_are_those_of_version_2(
    tmp_path: Path,
) -> None:
    old, now = FeatureFile.open(VERSION_1), FeatureFile.open(write_small(tmp_path / "test.h5", 60))
    assert verify_feature_file(VERSION_1) == []
    assert [old.shape(layer) for layer in old.layers] == [None, None]
    np.testing.assert_array_equal(old.ids, now.ids)
    np.testing.assert_array_equal(old.labels, now.labels)
    for layer in ("fc", "pool"):
        np.testing.assert_array_equal(old.layer(layer), now.layer(layer))
        assert old.feature_key(layer) == now.feature_key(layer)
        assert old.layer_digest(layer) == now.layer_digest(layer)
    # what indexes, neighbor graphs and kept units go by
    assert now.layer_digest("fc") == "1fa4efa983f6f7c33862c8c5f1a8bb79"
    assert now.key_digest("fc") == "bcc0d3174591da5383b8a66b3782f9b2"


def test_the_example_of_the_specification_reads_shapes_with_h5py_alone(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/file-format.md").read_text()
    example, *_ = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    layers = {"tokens": np.zeros((20, 197 * 4), "f4")}
    write_small(
        tmp_path / "data/features/vit/test.h5",
        20,
        layers=layers,
        keys={"tokens": content()["keys"]["fc"]},
        shapes={"tokens": LayerShape((197, 4), "tokens,C", 1)},
    )
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "tokens,C (16, 196, 4)\n"

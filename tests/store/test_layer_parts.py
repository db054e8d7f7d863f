"""Layers in parts: whatever is asked, a file in parts answers as one in one piece."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_writer import write_feature_file
from pool5.store.layer_parts import rows_of_a_part
from pool5.store.verify import verify_feature_file
from tests.store.parted_file import WIDTH, long_content, parts_beside, parts_of, write_parted

Both = tuple[FeatureFile, FeatureFile]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The same content in parts and in one piece."""
    folder = tmp_path_factory.mktemp("both")
    write_feature_file(folder / "whole.h5", **long_content())
    return FeatureFile.open(write_parted(folder / "test.h5")), FeatureFile.open(folder / "whole.h5")


def test_a_file_in_parts_reads_as_one_in_one_piece(both: Both) -> None:
    parted, whole = both
    assert len(parts_beside(parted.path)) == 2 * 4
    assert not whole.path.with_suffix(".parts").exists()
    assert parted.path.stat().st_size < 1 << 16
    np.testing.assert_array_equal(parted.ids, whole.ids)
    np.testing.assert_array_equal(parted.labels, whole.labels)
    assert list(parted.layers) == list(whole.layers)
    for name, rows in whole.layers.items():
        layer = parted.layer(name)
        assert (layer.shape, layer.dtype, layer.flags.writeable) == (rows.shape, rows.dtype, False)
        assert isinstance(layer, np.ndarray)
        np.testing.assert_array_equal(layer, rows)
        assert parted.shape(name) == whole.shape(name)
        assert parted.feature_key(name) == whole.feature_key(name)


def test_a_layers_digest_does_not_depend_on_the_parts(both: Both) -> None:
    parted, whole = both
    for name in whole.layers:
        assert parted.layer_digest(name) == whole.layer_digest(name)
    assert (parted.ids_digest, parted.labels_digest) == (whole.ids_digest, whole.labels_digest)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_slice_and_any_rows_are_the_same(both: Both, data: st.DataObject) -> None:
    parted, whole = (file.layer(name) for file in both for name in ("wide",))
    rows = st.integers(-50, 49)
    asked = data.draw(
        st.one_of(
            rows,
            st.slices(50),
            st.lists(rows, max_size=20).map(lambda each: np.array(each, np.int64)),
            st.lists(st.booleans(), min_size=50, max_size=50).map(np.array),
            st.tuples(st.slices(50), st.slices(WIDTH)),
            st.tuples(rows, st.integers(0, WIDTH - 1)),
        )
    )
    np.testing.assert_array_equal(parted[asked], whole[asked], strict=True)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 70),
    width=st.sampled_from([4096, 8192, 16_384, 24_576]),
    blocks=st.integers(1, 4),
)
def test_any_number_of_rows_comes_back_from_parts_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, rows: int, width: int, blocks: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    content = long_content(rows, seed=rows, width=width)
    write_feature_file(folder / "whole.h5", **content)
    path = write_parted(folder / "test.h5", blocks << 20, **content)
    parted, whole = FeatureFile.open(path), FeatureFile.open(folder / "whole.h5")
    assert verify_feature_file(path) == []
    with h5py.File(path) as plain:
        for name in whole.layers:
            assert parted.layer_digest(name) == whole.layer_digest(name)
            np.testing.assert_array_equal(parted.layer(name), whole.layer(name), strict=True)
            np.testing.assert_array_equal(plain[f"layers/{name}"], whole.layer(name), strict=True)
    with parts_of(blocks << 20):
        is_long = rows > rows_of_a_part(4 * width)
    assert path.with_suffix(".parts").exists() == is_long
    assert is_long or path.read_bytes() == (folder / "whole.h5").read_bytes()
    shutil.rmtree(folder)


@pytest.mark.parametrize("width", [1, 2, 5, 20, 512, 1001, 4096, 6400, 65_536, 300_001])
@pytest.mark.parametrize("itemsize", [2, 4])
def test_a_part_is_whole_blocks_and_whole_pages(width: int, itemsize: int) -> None:
    row_bytes = width * itemsize
    rows = rows_of_a_part(row_bytes)
    assert rows * row_bytes % (1 << 16) == 0
    assert rows % max(1, (1 << 20) // row_bytes) == 0
    least = max(1 << 20, row_bytes) * (1 << 16) // np.gcd(row_bytes, 1 << 16)
    assert rows * row_bytes <= max(8 << 30, least)


def test_plain_h5py_reads_the_rows_and_they_move_with_their_folder(tmp_path: Path) -> None:
    content = long_content()
    write_parted(tmp_path / "m/test.h5")
    shutil.move(tmp_path / "m", tmp_path / "elsewhere")
    decoy = tmp_path / "test.parts"  # in the working folder, where HDF5 looks last
    shutil.copytree(tmp_path / "elsewhere/test.parts", decoy)
    for part in decoy.iterdir():
        part.write_bytes(b"")
    code = (
        "import h5py, sys; layers = h5py.File(sys.argv[1])['layers'];"
        "print([float(layers[name][...].sum(dtype='f8')) for name in layers])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "elsewhere/test.h5")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    sums = [float(content["layers"][name].sum(dtype="f8")) for name in ("fc", "half", "pool", "wide")]
    assert done.stdout == f"{sums}\n"
    np.testing.assert_array_equal(
        FeatureFile.open(tmp_path / "elsewhere/test.h5").layer("wide"), content["layers"]["wide"]
    )


def test_a_part_says_what_it_is_and_h5py_reads_it_alone(tmp_path: Path) -> None:
    path = write_parted(tmp_path / "test.h5")
    part = next(each for each in parts_beside(path) if each.name.startswith("wide.0002."))
    with h5py.File(part) as plain:
        assert plain.attrs["format"] == "pool5-part"
        about = {name: plain.attrs[name] for name in ("model", "split", "layer", "first_row")}
        assert about == {"model": "m", "split": "test", "layer": "wide", "first_row": 32}
        assert json.loads(plain.attrs["feature_key"])["node"] == "wide"
        np.testing.assert_array_equal(plain["rows"], long_content()["layers"]["wide"][32:48])


def test_a_file_in_parts_may_have_another_name_than_its_split(tmp_path: Path) -> None:
    write_parted(tmp_path / "first.h5")
    write_parted(tmp_path / "second.h5", **long_content(seed=1))
    (tmp_path / "first.h5").rename(tmp_path / "renamed.h5")
    assert verify_feature_file(tmp_path / "renamed.h5") == []
    assert verify_feature_file(tmp_path / "second.h5") == []


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    found = set()
    for number in range(3):
        path = write_parted(tmp_path / f"{number}/test.h5")
        files = [path, *parts_beside(path)]
        found.add(tuple((file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in files))
    assert len(found) == 1


def test_reading_keeps_no_part_open_and_its_map_goes_with_the_array(tmp_path: Path) -> None:
    path = write_parted(tmp_path / "test.h5")
    layer = FeatureFile.open(path).layer("wide")[40:]
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    assert f"{tmp_path}/test.parts" not in " ".join(str(link) for link in open_files())
    shutil.rmtree(tmp_path / "test.parts")
    np.testing.assert_array_equal(layer, long_content()["layers"]["wide"][40:])
    del layer
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def open_files() -> Iterator[Path]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of this loop
            yield descriptor.readlink()


def test_verify_names_the_rows_that_are_damaged_in_a_part(tmp_path: Path) -> None:
    path = write_parted(tmp_path / "test.h5")
    part = next(each for each in parts_beside(path) if each.name.startswith("wide.0001."))
    with h5py.File(part) as plain:
        at = plain["rows"].id.get_offset()
    with part.open("r+b") as file:
        file.seek(at + 5)
        file.write(b"\x55\x55")
    assert verify_feature_file(path) == [f"{path}: layers/wide, rows 16 to 31: damaged"]
    np.testing.assert_array_equal(FeatureFile.open(path).layer("half"), long_content()["layers"]["half"])


def test_a_flipped_bit_of_the_head_of_a_part_is_caught(tmp_path: Path) -> None:
    path = write_parted(tmp_path / "test.h5", **long_content(20))
    draw = random.Random(0)
    for part in (path, parts_beside(path)[-1]):
        sound = part.read_bytes()
        head = len(sound) if part == path else 1 << 17
        full = [at for at in range(head) if sound[at]]
        with part.open("r+b", buffering=0) as file:
            for at in draw.sample(full, 150) + draw.sample(range(head), 30):
                os.pwrite(file.fileno(), bytes([sound[at] ^ 1 << at % 8]), at)
                assert _refused(path), (part.name, at)
                os.pwrite(file.fileno(), sound[at : at + 1], at)


def _refused(path: Path) -> bool:
    try:
        FeatureFile.open(path)
    except UserError:
        return True
    return bool(verify_feature_file(path))

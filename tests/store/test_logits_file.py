import dataclasses

import h5py
import numpy as np
import pytest

from pool5.errors import UserError
from pool5.store.logits_file import LogitsFile, read_logits, write_logits


@pytest.fixture
def content():
    return LogitsFile(
        of="resnet18/fc7",
        split="test",
        key={"architecture": "resnet18", "precision": "fp32"},
        classes=("cat", "dog"),
        ids=np.array(["000001", "000012", "żółw"]),
        labels=np.array([[1, -1], [0, 1], [-1, -1]], np.int8),
        logits=np.array([[1.5, -2], [0, np.inf], [-0.25, 3]], np.float32),
    )


def test_what_is_written_is_read(tmp_path, content):
    write_logits(tmp_path / "p.h5", content)
    found = read_logits(tmp_path / "p.h5")
    for field in dataclasses.fields(content):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(content, field.name))
    assert found.ids[0] == "000001"
    assert (found.labels.dtype, found.logits.dtype) == (np.int8, np.float32)


def test_the_same_content_has_the_same_bytes(tmp_path, content):
    write_logits(tmp_path / "a.h5", content)
    write_logits(tmp_path / "b.h5", content)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_plain_h5py_opens_it(tmp_path, content):
    write_logits(tmp_path / "p.h5", content)
    with h5py.File(tmp_path / "p.h5") as file:
        assert sorted(file) == ["ids", "labels", "logits"]
        assert file.attrs["format"] == "pool5-logits"
        assert file["logits"].chunks is None
        assert file["ids"].asstr()[2] == "żółw"


def test_a_missing_file_says_which_stage_writes_it(tmp_path):
    with pytest.raises(UserError, match=r"frozen\.h5: no such logits file") as caught:
        read_logits(tmp_path / "frozen.h5")
    assert (caught.value.rerun, caught.value.force) == ("probe", False)


def test_another_hdf5_file_and_another_version_are_refused(tmp_path, content):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 1
    with pytest.raises(UserError, match="not a logits file"):
        read_logits(tmp_path / "x.h5")
    write_logits(tmp_path / "x.h5", content)
    whole = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(whole.replace(b"pool5-logits 2 ", b"pool5-logits 9 ", 1))
    with pytest.raises(UserError, match="format version 9, but this program reads 2"):
        read_logits(tmp_path / "x.h5")


def test_a_truncated_file_is_told_in_one_line(tmp_path, content):
    write_logits(tmp_path / "x.h5", content)
    whole = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"\d+ bytes, but \d+ were written") as caught:
        read_logits(tmp_path / "x.h5")
    assert (caught.value.rerun, caught.value.force) == ("probe", True)


def test_every_byte_that_is_changed_is_told(tmp_path, content):
    path = tmp_path / "x.h5"
    write_logits(path, content)
    whole = path.read_bytes()
    for at in range(0, len(whole), 23):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(UserError):
            read_logits(path)


def test_a_file_of_version_1_which_had_no_digests_is_read(tmp_path, content):
    attributes = {
        "classes": '["cat", "dog"]', "feature_key": '{"node": "fc"}', "format": "pool5-logits",
        "format_version": 1, "of": content.of, "split": content.split,
    }  # fmt: skip
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs.update(attributes)
        ids = np.char.encode(content.ids, "utf-8")
        file.create_dataset("ids", data=ids.astype(h5py.string_dtype("utf-8", ids.dtype.itemsize)))
        file.create_dataset("labels", data=content.labels)
        file.create_dataset("logits", data=content.logits)
    found = read_logits(tmp_path / "x.h5")
    np.testing.assert_array_equal(found.logits, content.logits)
    assert (found.key, found.ids.tolist()) == ({"node": "fc"}, content.ids.tolist())

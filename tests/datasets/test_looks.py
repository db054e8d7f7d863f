"""looks.csv: a row a picture, upright, the same bytes each time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from checked import check_images
from PIL import Image

from pool5.datasets import looks as module
from pool5.datasets.looks import read_looks, write_looks
from pool5.datasets.manifest import Manifest
from pool5.errors import UserError
from pool5.images.looks import Looks, look_at

NAMES = ["=a.png", "b.jpg", "turned.jpg"]


@pytest.fixture
def root(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / NAMES[0])
    Image.new("RGB", (64, 16), "white").save(tmp_path / NAMES[1])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(tmp_path / NAMES[2], exif=exif)
    return tmp_path


def manifest(split: str, paths: list[str]) -> Manifest:
    count = len(paths)
    blank = np.zeros((count, 16), np.uint8), np.zeros((count, 2), np.int32), np.zeros((count, 0), np.int8)
    return Manifest(split, (), [path.partition(".")[0] for path in paths], paths, *blank)


def test_what_is_written_is_read_again_in_the_order_of_the_splits(root):
    facts = check_images(root, NAMES)
    manifests = [manifest("train", NAMES[:2]), manifest("test", NAMES[1:])]
    write_looks(root / "looks.csv", manifests, facts)
    found = read_looks(root / "looks.csv")
    assert found.splits.tolist() == ["train", "train", "test", "test"]
    assert found.ids.tolist() == ["=a", "b", "b", "turned"]
    assert found.columns["width"].tolist() == [40, 64, 64, 30], "of the upright picture"
    assert found.columns["aspect"].tolist() == [1.3333, 4, 4, 0.75]
    with Image.open(root / NAMES[0]) as image:
        expected = look_at(image)
    for name in Looks._fields:
        assert found.columns[name][0] == pytest.approx(getattr(expected, name), rel=1e-6, abs=1e-4)
    assert found.take(np.array([2])).ids.tolist() == ["b"]


def test_the_bytes_are_the_same_however_many_rows_are_text_at_a_time(root, monkeypatch):
    facts = check_images(root, NAMES)
    write_looks(root / "one.csv", [manifest("train", NAMES)], facts)
    monkeypatch.setattr(module, "_BLOCK", 2)
    write_looks(root / "two.csv", [manifest("train", NAMES)], facts)
    assert (root / "one.csv").read_bytes() == (root / "two.csv").read_bytes()


def test_what_is_no_such_file_is_told_in_a_line(root):
    with pytest.raises(UserError, match="no such file"):
        read_looks(root / "looks.csv")
    for text in ("", "id,split\n1,train\n", "split,id,width\na,b,wide\n"):
        (root / "looks.csv").write_text(text)
        with pytest.raises(UserError, match="not what pictures look like"):
            read_looks(root / "looks.csv")


def test_a_split_without_images_has_no_rows(root):
    facts = check_images(root, NAMES[:1])
    write_looks(root / "looks.csv", [dataclasses.replace(manifest("train", []))], facts)
    assert len(read_looks(root / "looks.csv")) == 0

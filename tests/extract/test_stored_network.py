"""A network that is not loaded yet travels with its files to a machine that has none of them."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pool5.errors import UserError
from pool5.extract.stored_network import StoredNetwork, travelling
from pool5.models.weights import start_network, store_start
from pool5.params import Extract, Model
from pool5.project import Project

OWN = """
from torch import nn

def build(num_outputs):
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_outputs))
"""


def test_a_network_of_one_s_own_gives_the_same_values_where_none_of_its_files_are(tmp_path: Path) -> None:
    project = Project(tmp_path / "here")
    (project.root / "nets").mkdir(parents=True)
    (project.root / "nets/own.py").write_text(OWN)
    plain = {"architecture": "nets/own.py:build", "weights": "random", "layers": {"pooled": "2"}}
    spec = msgspec.convert(plain | {"preprocess": {"resize": 16, "crop": 16}, "train": None}, Model)
    start = start_network("own", spec, ("a", "b"), project.models, project.root)
    store_start("own", start, project.model("own"))
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), np.uint8)
    stored = StoredNetwork(project.model("own"), spec, Extract(device="cpu"), project.root)
    (expected,) = stored().start(images)().values()
    pickled = pickle.dumps(travelling(stored))
    shutil.rmtree(project.root)
    there = pickle.loads(pickled)()  # noqa: S301 - our own
    (found,) = there.start(images)().values()
    np.testing.assert_array_equal(found, expected)
    assert there.device_kind.startswith("cpu ")


def test_a_card_that_is_full_before_anything_is_loaded_is_one_line(tmp_path, monkeypatch):
    def full(_: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")

    monkeypatch.setattr("pool5.models.device.keep_to", full)
    with pytest.raises(UserError, match=r"^cpu: CUDA error: out of memory; take another extract\.device$"):
        StoredNetwork(tmp_path, None, Extract(device="cpu"), tmp_path)()

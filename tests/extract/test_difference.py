"""What `pool5 why` says has changed between a stored layer and the one that is asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pool5.datasets.manifest import Manifest
from pool5.extract.difference import layer_differences
from pool5.store.feature_file import FeatureFile
from pool5.store.row_cache import RowCache
from tests.store.small_file import VERSION_1, content, write_small


def manifest() -> Manifest:
    about = content()
    return Manifest(
        split="test",
        classes=about["classes"],
        ids=about["ids"],
        paths=about["ids"],
        digests=about["digests"],
        sizes=np.zeros((7, 2), np.int32),
        labels=about["labels"],
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, {}),
        ({"pool": "mean"}, {"pool": ("flatten", "mean")}),
        ({"network": {"depth": 3}}, {"network.depth": (None, 3)}),
        ({"preprocessing": {"crop": 160}}, {"preprocessing.crop": (224, 160)}),
    ],
)
def test_each_field_of_the_key_that_differs_is_named(tmp_path: Path, changes: dict, told: dict) -> None:
    key = dataclasses.replace(content()["keys"]["fc"], **changes)
    for path in (write_small(tmp_path / "test.h5"), VERSION_1):
        found = layer_differences(
            FeatureFile.open(path), {"fc": key, "new": key}, manifest(), RowCache(tmp_path)
        )
        assert [(each.layer, each.stored, each.to_compute) for each in found] == [
            ("fc", True, 7),
            ("new", False, 7),
        ]
        assert [each.fields for each in found] == [told, {}]

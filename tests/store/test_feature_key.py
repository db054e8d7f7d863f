from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool5.store.feature_key import Derivation, FeatureKey

KEY = FeatureKey(
    "resnet18", "ab" * 32, "flatten", {"resize": 256, "mean": [0.485, 0.5]}, "fp32", "float16", 3
)


def test_the_digest_is_that_of_the_readable_json() -> None:
    text = (
        '{"architecture":"resnet18","dtype":"float16","node":"flatten","precision":"fp32",'
        '"preprocessing":{"mean":[0.485,0.5],"resize":256},"recipe_version":3,"weights_sha256":"'
        + "ab" * 32
        + '"}'
    )
    assert KEY.json() == text
    assert KEY.digest == hashlib.blake2b(text.encode(), digest_size=16).digest()
    assert KEY.hex == "950a24605a809537dd0cac5a78393687"  # as it was before keys had `pool`
    assert FeatureKey.from_json(text) == KEY


def test_what_is_pooled_stands_in_the_key_and_what_is_flattened_does_not() -> None:
    pooled = dataclasses.replace(KEY, pool="mean")
    assert json.loads(pooled.json()) == json.loads(KEY.json()) | {"pool": "mean"}
    assert FeatureKey.from_json(pooled.json()) == pooled != KEY
    assert FeatureKey.from_json(json.dumps(json.loads(KEY.json()) | {"pool": "flatten"})).hex == KEY.hex
    with pytest.raises(ValueError, match="no feature key: Invalid enum value 'sum'"):
        FeatureKey.from_json(pooled.json().replace('mean","pre', 'sum","pre'))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(FeatureKey)])
def test_every_field_decides(field: str) -> None:
    preprocessing = {"resize": 255, "mean": [0.485, 0.5]}
    derived = (Derivation("net/fc", ("l2",), "0" * 32, 1),)
    others = {"preprocessing": preprocessing, "recipe_version": 4, "network": {"depth": 3}}
    others["derived"] = derived
    other = others.get(field, "another")
    assert dataclasses.replace(KEY, **{field: other}).digest != KEY.digest


@given(st.permutations(["resize", "crop", "mean", "std"]))
def test_the_order_of_the_preprocessing_does_not_decide(names: list[str]) -> None:
    value = {"resize": 256, "crop": 224, "mean": [0.5], "std": [0.2]}
    shuffled = dataclasses.replace(KEY, preprocessing={name: value[name] for name in names})
    assert shuffled.digest == dataclasses.replace(KEY, preprocessing=value).digest


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        Path("x"),
        np.float32(0.5),
        np.float64(0.5),
        {1, 2},
        b"bytes",
        float("nan"),
        float("inf"),
        Colour.RED,
        {1: 2},
    ],
    ids=repr,
)
def test_what_has_no_value_of_its_own_is_refused_and_named(value: object) -> None:
    with pytest.raises(TypeError, match=r"preprocessing\.odd"):
        dataclasses.replace(KEY, preprocessing={"odd": value})


def test_a_later_change_of_the_argument_does_not_reach_the_key() -> None:
    preprocessing = {"mean": [0.1]}
    key = dataclasses.replace(KEY, preprocessing=preprocessing)
    preprocessing["mean"].append(0.2)
    assert json.loads(key.json())["preprocessing"] == {"mean": [0.1]}


def test_one_and_one_point_nought_are_different_values() -> None:
    assert (
        dataclasses.replace(KEY, preprocessing={"resize": 1}).digest
        != dataclasses.replace(KEY, preprocessing={"resize": 1.0}).digest
    )


_TORCHLESS = [
    "images.image_file",
    "extract.decode_worker",
    "extract.difference",
    "extract.extract_layers",
    "store",
    "store.cache_usage",
    "store.export",
    "store.feature_file",
    "store.publish",
    "store.verify",
]


@pytest.mark.parametrize("module", _TORCHLESS)
def test_the_store_and_a_run_with_nothing_new_need_no_torch(module: str) -> None:
    code = f"import sys, pool5.{module}; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0

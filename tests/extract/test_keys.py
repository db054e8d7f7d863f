"""What of a preprocessing stands in the key of the features."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pool5.extract.keys import feature_keys
from pool5.models.card import ModelCard, write_card
from pool5.params import Dataset, Model, Params, Preprocess
from pool5.store.feature_key import FeatureKey

PREPROCESS = {"resize": 256, "crop": 224}


@pytest.fixture
def key_with(tmp_path: Path):
    write_card(tmp_path / "m", ModelCard("resnet18", 20, 224, (), "ab" * 32, "drawn"))
    dataset = Dataset(name="d", kind="images", root="d", train="train", test="test")

    def key(**preprocess: object) -> FeatureKey:
        given = Preprocess(**PREPROCESS | preprocess)
        model = Model(
            architecture="resnet18", weights="random", layers={"pool5": "flatten"}, preprocess=given
        )
        return feature_keys(Params(dataset=dataset, models={"m": model}), "m", tmp_path)["pool5"]

    return key


def test_a_bilinear_crop_has_the_key_that_rows_are_stored_under(key_with):
    text = (
        '{"architecture":"resnet18","dtype":"float32","node":"flatten","precision":"fp32","preprocessing":'
        '{"crop":224,"interpolation":"bilinear","mean":[0.485,0.456,0.406],"resize":256,'
        '"std":[0.229,0.224,0.225]},"recipe_version":2,"weights_sha256":"' + "ab" * 32 + '"}'
    )
    assert key_with().json() == text
    assert key_with().hex == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert key_with().hex == "a4fc9ae877fcadd48b0b98117efcd6e9"


def test_what_makes_other_pixels_has_another_key(key_with):
    others = [
        {"interpolation": "bicubic"},  # whose crops were resampled in part before: their rows are not taken
        {"interpolation": "lanczos"},
        {"mode": "squash"},
        {"mode": "pad"},
        {"mode": "pad", "fill": (124, 116, 104)},
    ]
    keys = [key_with(), *(key_with(**other) for other in others)]
    assert len({key.digest for key in keys}) == len(keys)
    assert [key.preprocessing.get("mode") for key in keys] == [None, "crop", "crop", "squash", "pad", "pad"]
    assert key_with(mode="pad").preprocessing["fill"] == [0, 0, 0]


def test_the_colour_of_a_padding_decides_nothing_where_there_is_none(key_with):
    for mode in ("crop", "squash"):
        assert key_with(mode=mode, fill=(9, 9, 9)).digest == key_with(mode=mode).digest

"""The map of a stored layer: what stands in its record, and what a layer cannot give."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.maps.layer_map import map_layer
from pool5.analysis.maps.tsne import make_map
from pool5.errors import UserError
from pool5.params.sections import Tsne
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

KEY = FeatureKey("net", "0" * 64, "flatten", {}, "fp32", "float32", 1)
QUICK = Tsne(perplexity=5, stability_seeds=0)


@pytest.fixture
def stored(tmp_path):
    def store(features: np.ndarray, labels: np.ndarray | None = None) -> FeatureFile:
        count = len(features)
        labels = np.where(np.arange(count)[:, None] % 2 == [0, 1], 1, -1) if labels is None else labels
        write_feature_file(
            tmp_path / "test.h5", dataset="toy", split="test", model="net",
            classes=tuple("abcdefgh"[: labels.shape[1]]), ids=np.array([f"{i:06}" for i in range(count)]),
            digests=np.zeros((count, 16), np.uint8), labels=labels.astype(np.int8),
            layers={"fc7": features.astype(np.float32)}, keys={"fc7": KEY},
        )  # fmt: skip
        return FeatureFile.open(tmp_path / "test.h5")

    return store


def drawn(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)


def test_the_record_has_the_map_with_five_decimals_and_its_measures(stored):
    found = map_layer(stored(drawn(60)), "fc7", Tsne(perplexity=5, stability_seeds=1))
    assert (found.layer, found.split, found.images, found.perplexity) == ("net/fc7", "test", 60, 5)
    expected = make_map(drawn(60), perplexity=5)
    np.testing.assert_array_equal(found.points, np.round(expected.points, 5))
    assert found.ids == tuple(f"{i:06}" for i in range(60))
    assert found.kl == expected.kl
    assert found.stability is not None
    assert [part.class_name for part in found.by_class] == ["a", "b"]
    assert found.gaps == ()
    assert found.metrics()["purity"] == {part.class_name: round(part.purity, 6) for part in found.by_class}


def test_a_sample_of_the_images_is_mapped(stored):
    found = map_layer(stored(drawn(60)), "fc7", Tsne(sample=20, perplexity=5, stability_seeds=0))
    assert (found.images, len(found.ids), len(found.points)) == (20, 20, 20)


@pytest.mark.parametrize("count", [4, 5, 7, 30, 90])
@pytest.mark.parametrize("backend", ["sklearn", "opentsne"])
def test_too_few_images_for_the_perplexity_get_the_highest_they_allow(stored, count, backend):
    found = map_layer(stored(drawn(count)), "fc7", Tsne(perplexity=30, stability_seeds=0, backend=backend))
    assert found.perplexity == (count - 1) / 3
    assert len(found.points) == count
    assert f"instead of 30, for which 91 images are needed; there are {count}" in found.gaps[0]


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (drawn(0), "it needs 4 images or more, and there are 0"),
        (drawn(3), "it needs 4 images or more, and there are 3"),
        (drawn(30) * np.float32(1e25), "there are values of 3e+25, whose squares have no place in a float"),
        (np.ones((1415, 8)), "all 1000 images have the same values"),
    ],
)
def test_where_no_map_can_be_made_the_record_says_why(stored, features, reason):
    found = map_layer(stored(features), "fc7", QUICK)
    assert (found.points, found.ids, found.kl, found.backend) == ((), (), None, None)
    assert found.gaps == (f"no map: {reason}",)
    assert set(found.metrics()) == {"images", "purity", "purity_in_layer", "chance"}


def test_without_labels_there_is_a_map_and_no_purity(stored):
    found = map_layer(stored(drawn(30), np.empty((30, 0))), "fc7", QUICK)
    assert len(found.points) == 30
    assert found.by_class == ()
    assert found.gaps == ("no purity by class: the images have no labels",)


def test_one_class_and_a_class_in_one_image_are_measured_as_far_as_they_go(stored):
    labels = np.full((30, 2), 1)
    labels[1:, 1] = -1
    found = map_layer(stored(drawn(30), labels), "fc7", QUICK)
    assert [(part.class_name, part.purity, part.chance) for part in found.by_class] == [("a", 1, 1)]
    assert found.gaps == ("no purity of b: shown by fewer than two images of the map",)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_told_in_one_line(stored, value):
    features = drawn(100)
    features[[40, 70], 3] = value
    with pytest.raises(UserError, match=r"net/fc7: 2 of 100 images .* not finite, first 000040") as told:
        map_layer(stored(features), "fc7", QUICK)
    assert told.value.rerun == "extract@net"

"""Maps that are the same each time, and measures that agree with their definitions."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from pool5.analysis.tsne import (
    TsneMap,
    check_mappable,
    choose_backend,
    draw_sample,
    make_map,
    measure_trust,
    names_present,
    place_points,
    write_map,
)
from pool5.errors import UserError


def clusters(count: int, width: int = 64, of: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features in `of` clusters far apart, and which cluster each row is of."""
    random = np.random.default_rng(seed)
    cluster = random.integers(of, size=count)
    centres = np.random.default_rng(99).normal(size=(of, width)) * 5
    return (centres[cluster] + random.normal(size=(count, width))).astype(np.float32), cluster


def one_hot(cluster: np.ndarray) -> np.ndarray:
    return np.where(np.eye(5, dtype=bool)[cluster], 1, -1).astype(np.int8)


IDS = [f"{i:06}" for i in range(2000)]


@pytest.mark.parametrize("backend", ["sklearn", "opentsne"])
def test_a_map_is_the_same_to_the_bit_each_time_and_in_another_process(backend):
    features, _ = clusters(150)
    code = (
        "import sys; sys.path.insert(0, 'tests/analysis'); from test_tsne import *\n"
        f"print(make_map(clusters(150)[0], perplexity=20, backend={backend!r}).points.tobytes().hex())"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    once = make_map(features, perplexity=20, backend=backend).points
    assert once.tobytes() == make_map(features, perplexity=20, backend=backend).points.tobytes()
    assert once.tobytes().hex() == again.strip()


@pytest.mark.parametrize("backend", ["sklearn", "opentsne"])
def test_clusters_in_the_layer_are_clusters_on_the_map(backend):
    features, cluster = clusters(200)
    points = make_map(features, perplexity=15, backend=backend).points
    nearest = NearestNeighbors(n_neighbors=5).fit(points).kneighbors(return_distance=False)
    assert (cluster[nearest] == cluster[:, None]).mean() > 0.99


def test_both_libraries_leave_about_the_same_divergence():
    features, _ = clusters(300)
    kls = [make_map(features, backend=backend).kl for backend in ("sklearn", "opentsne")]
    assert kls[0] == pytest.approx(kls[1], rel=0.05)


def test_auto_takes_the_library_by_the_number_of_images_and_says_which():
    assert choose_backend(200, "auto")[0] == "sklearn"
    assert choose_backend(5000, "auto")[0] == "opentsne"
    assert "openTSNE" in choose_backend(5000, "auto")[1]
    assert choose_backend(5000, "sklearn")[0] == "sklearn"


def test_float16_layers_and_images_with_the_same_values_can_be_mapped():
    features = np.repeat(clusters(60)[0], 3, axis=0).astype(np.float16)
    for backend in ("sklearn", "opentsne"):
        assert np.isfinite(make_map(features, perplexity=10, backend=backend).points).all()


def test_a_layer_of_a_single_value_an_image_can_be_mapped():
    assert make_map(np.linspace(0, 1, 100, dtype=np.float32)[:, None], perplexity=10).points.shape == (100, 2)


def test_new_images_land_in_their_cluster_and_the_same_place_whoever_is_beside_them():
    features, cluster = clusters(600, seed=0)
    new, new_cluster = clusters(40, seed=1)
    points = make_map(features).points
    placed = place_points(new, features, points)
    nearest = NearestNeighbors(n_neighbors=5).fit(points).kneighbors(placed, return_distance=False)
    assert (cluster[nearest] == new_cluster[:, None]).mean() > 0.99
    np.testing.assert_allclose(place_points(new[7:9], features, points), placed[7:9], atol=1e-3)
    assert placed.tobytes() == place_points(new, features, points).tobytes()
    assert place_points(new[:0], features, points).shape == (0, 2)


def test_trustworthiness_is_the_published_measure():
    features, cluster = clusters(300)
    points = features[:, :2].astype(np.float64)  # a poor map, so that there is something to measure
    trust = measure_trust(features, one_hot(cluster), TsneMap(points, 0.0))
    assert trust.trustworthiness == pytest.approx(trustworthiness(features, points, n_neighbors=10), abs=1e-6)
    assert trust.trustworthiness < 0.95


def test_trustworthiness_of_many_images_is_estimated_on_some():
    features, cluster = clusters(4000)
    points = features[:, :2].astype(np.float64)
    trust = measure_trust(features, one_hot(cluster), TsneMap(points, 0.0))
    assert trust.trustworthiness == pytest.approx(
        trustworthiness(features, points, n_neighbors=10), abs=0.005
    )


def test_knn_preservation_and_stability_agree_with_sets_of_neighbors():
    features, cluster = clusters(200)
    points, other = (features[:, i : i + 2].astype(np.float64) for i in (0, 1))
    trust = measure_trust(features, one_hot(cluster), TsneMap(points, 0.0), [other, points])

    def neighbors(data):
        found = NearestNeighbors(n_neighbors=10).fit(data).kneighbors(return_distance=False)
        return [set(row) for row in found.tolist()]

    def shared(one, two):
        return np.mean([len(a & b) / 10 for a, b in zip(neighbors(one), neighbors(two), strict=True)])

    assert trust.knn_preservation == pytest.approx(shared(features, points), abs=0.002)
    assert trust.stability == pytest.approx((shared(points, other) + 1) / 2, abs=0.002)
    assert measure_trust(features, one_hot(cluster), TsneMap(points, 0.0)).stability is None


def test_purity_counts_neighbors_of_the_class_and_leaves_difficult_ones_out():
    # two groups far apart on a line; the second class is certain in the first group's first half only
    points = np.array([[i, 0.0] for i in range(6)] + [[100.0 + i, 0.0] for i in range(6)])
    labels = np.full((12, 3), -1, np.int8)
    labels[:6, 0] = 1
    labels[:3, 1], labels[3:6, 1] = 1, 0
    labels[0, 2] = 1
    trust = measure_trust(points.astype(np.float32), labels, TsneMap(points, 0.0))
    assert trust.neighbors == 5
    np.testing.assert_allclose(trust.purity, [1.0, 1.0, np.nan])
    np.testing.assert_allclose(trust.purity_in_layer, trust.purity)
    np.testing.assert_allclose(trust.chance, [5 / 11, 2 / 8, np.nan])


def test_a_sample_is_the_same_for_the_same_seed_and_has_no_image_twice():
    rows = draw_sample(5000, 1000, seed=3)
    np.testing.assert_array_equal(rows, draw_sample(5000, 1000, seed=3))
    assert len(set(rows.tolist())) == 1000
    assert (np.diff(rows) > 0).all()
    assert (rows != draw_sample(5000, 1000, seed=4)).any()
    np.testing.assert_array_equal(draw_sample(7, 1000, seed=0), np.arange(7))


def broken(value: float) -> np.ndarray:
    features = clusters(100)[0]
    features[[40, 70], 3] = value
    return features


@pytest.mark.parametrize(
    ("features", "perplexity", "told"),
    [
        (clusters(90)[0], 30, ["tsne.perplexity", "30", "at least 91", "has 90", "29"]),
        (np.empty((0, 8), np.float32), 30, ["caffenet/fc7", "there are 0"]),
        (broken(np.nan), 30, ["caffenet/fc7", "2 of 100", "not finite", "000040"]),
        (broken(np.inf), 30, ["2 of 100", "not finite", "000040"]),
        (np.ones((100, 8), np.float32), 30, ["caffenet/fc7", "same values"]),
    ],
)
def test_a_layer_that_cannot_be_mapped_is_told_in_one_line(features, perplexity, told):
    with pytest.raises(UserError) as error:
        check_mappable(features, IDS[: len(features)], perplexity, "caffenet/fc7")
    assert "\n" not in str(error.value)
    for words in told:
        assert words in str(error.value)


def test_as_few_images_as_the_perplexity_allows_are_mapped():
    features = clusters(91)[0]
    check_mappable(features, IDS[:91], 30, "caffenet/fc7")
    assert make_map(features).points.shape == (91, 2)


def test_the_table_of_a_map_keeps_the_zeros_of_ids(tmp_path):
    labels = np.array([[1, -1, 1], [0, -1, -1]])
    names = names_present(labels, ["cat", "dog", "person"])
    write_map(
        tmp_path / "map.csv",
        ["000012", "000100"],
        np.array([[1.5, -2], [0, 3]]),
        names,
        ["#ff0000", "#9e9e9e"],
    )
    with (tmp_path / "map.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "id": "000012",
        "x": "1.50000",
        "y": "-2.00000",
        "labels": "cat person",
        "colour": "#ff0000",
    }
    assert rows[1]["labels"] == ""

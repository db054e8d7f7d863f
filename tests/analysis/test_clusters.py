"""Clusters: what they show beside chance, computed another way, and what there is none of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from pool5.analysis.clusters import by_size, cluster_layer
from pool5.params.sections import Maps
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

KEY = FeatureKey("net", "0" * 64, "flatten", {}, "fp32", "float32", 1)
NAMES = ("cat", "dog", "person")


@pytest.fixture
def stored(tmp_path):
    def store(features: np.ndarray, labels: np.ndarray) -> FeatureFile:
        count = len(features)
        write_feature_file(
            tmp_path / "test.h5", dataset="toy", split="test", model="net", classes=NAMES[: labels.shape[1]],
            ids=np.array([f"{i:06}" for i in range(count)]), digests=np.zeros((count, 16), np.uint8),
            labels=labels.astype(np.int8), layers={"fc": features.astype(np.float32)}, keys={"fc": KEY},
        )  # fmt: skip
        return FeatureFile.open(tmp_path / "test.h5")

    return store


def groups(sizes: tuple[int, ...], apart: float = 12, width: int = 20) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    group = np.repeat(np.arange(len(sizes)), sizes)
    return apart * random.normal(size=(len(sizes), width))[group] + random.normal(
        size=(len(group), width)
    ), group


def some_labels(group: np.ndarray, seed: int = 2) -> np.ndarray:
    """Cats in group 0 for the most part, dogs anywhere, persons uncertain in a fifth of the images."""
    random = np.random.default_rng(seed)
    shares = np.column_stack(
        [np.where(group == 0, 0.8, 0.1), np.full(len(group), 0.3), np.full(len(group), 0.5)]
    )
    labels = np.where(random.random(shares.shape) < shares, 1, -1)
    labels[random.random(len(group)) < 0.2, 2] = 0
    return labels


@pytest.mark.parametrize("method", ["hdbscan", "kmeans"])
def test_groups_far_apart_are_found_the_largest_first(stored, method):
    features, group = groups((40, 60, 25))
    found = cluster_layer(stored(features, some_labels(group)), "fc", Maps(clusters=method, k=3))
    assert [each.images for each in found.clusters] == [60, 40, 25]
    assert found.noise == 0
    assert found.cluster == tuple(np.array([2, 1, 3])[group].tolist())
    assert all(each.silhouette > 0.5 for each in found.clusters)
    assert (found.dimensions, round(found.variance, 6)) == (20, 1)


def test_composition_is_a_one_sided_exact_test_against_a_draw_of_as_many(stored):
    features, group = groups((40, 60, 25))
    labels = some_labels(group)
    found = cluster_layer(stored(features, labels), "fc", Maps())
    tests = len(found.clusters) * len(NAMES)
    for each, of in zip(found.clusters, (1, 0, 2), strict=True):
        own = group == of
        for part in each.classes:
            column = labels[:, NAMES.index(part.class_name)]
            table = [
                [((column == label) & (own == side)).sum() for side in (True, False)] for label in (1, -1)
            ]
            assert part.images == table[0][0]
            assert part.share == pytest.approx(table[0][0] / (table[0][0] + table[1][0]))
            assert part.chance == pytest.approx((column == 1).sum() / (column != 0).sum())
            expected = fisher_exact(table, alternative="greater").pvalue
            assert part.p_value == pytest.approx(expected, rel=1e-9)
            assert part.beyond_chance == (expected < 0.05 / tests)
    beyond = [
        (each.images, part.class_name)
        for each in found.clusters
        for part in each.classes
        if part.beyond_chance
    ]
    assert beyond == [(40, "cat")]


def test_pairs_that_share_a_class_are_counted_as_a_loop_would(stored):
    features, group = groups((30, 30), apart=3)
    labels = some_labels(group)
    found = cluster_layer(stored(features, labels), "fc", Maps(clusters="kmeans", k=5))
    shown, number = labels == 1, np.array(found.cluster)
    pairs = [(i, j) for i in range(60) for j in range(i)]
    sharing = np.array([(shown[i] & shown[j]).any() for i, j in pairs])
    together = np.array([number[i] == number[j] for i, j in pairs])
    assert found.sharing == pytest.approx(sharing[together].mean())
    assert found.sharing_by_chance == pytest.approx(sharing.mean())


def test_the_typical_images_are_those_with_the_least_mean_squared_distance_to_their_cluster(stored):
    features, group = groups((40, 30))
    found = cluster_layer(stored(features, some_labels(group)), "fc", Maps())
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    for each in found.clusters:
        own = features[np.array(found.cluster) == each.number]
        ids = np.array(found.ids)[np.array(found.cluster) == each.number]
        apart = ((own[:, None] - own[None]) ** 2).sum(axis=2).mean(axis=1)
        assert each.typical == tuple(ids[np.argsort(apart)[:6]].tolist())


def test_images_in_no_cluster_are_noise_and_count_for_none(stored):
    features, group = groups((40, 40))
    features = np.vstack([features, 200 * np.random.default_rng(3).normal(size=(9, 20))])
    labels = some_labels(np.append(group, np.zeros(9)))
    found = cluster_layer(stored(features, labels), "fc", Maps())
    assert found.cluster[-9:].count(0) >= 8
    assert found.noise == found.cluster.count(0)
    assert sum(each.images for each in found.clusters) == 89 - found.noise >= 75


def test_where_there_is_no_denser_place_it_is_said_what_divides_them_all_the_same(stored):
    features = np.random.default_rng(0).normal(size=(200, 30))
    found = cluster_layer(stored(features, np.ones((200, 1))), "fc", Maps())
    assert (found.clusters, found.noise, found.sharing) == ((), 200, None)
    assert found.gaps == (
        "no clusters: nowhere do 10 images lie closer together than elsewhere; "
        "maps.clusters: kmeans divides them all the same",
    )


@pytest.mark.parametrize("method", ["hdbscan", "kmeans"])
def test_without_labels_there_are_clusters_and_no_composition(stored, method):
    features, _ = groups((40, 60))
    found = cluster_layer(stored(features, np.empty((100, 0))), "fc", Maps(clusters=method))
    assert found.clusters
    assert all(each.classes == () for each in found.clusters)
    assert found.gaps == ("no composition of clusters: the images have no labels",)


@pytest.mark.parametrize("method", ["hdbscan", "kmeans"])
def test_few_images_and_images_that_are_all_the_same_are_gaps(stored, method):
    settings = Maps(clusters=method, k=10)
    for features, reason in (
        (groups((9, 9))[0], "it needs 20 images or more, and there are 18"),
        (np.ones((70, 5)), "all 70 images have the same values"),
    ):
        found = cluster_layer(stored(features, np.ones((len(features), 1))), "fc", settings)
        assert found.gaps == (f"no clusters: {reason}",)
        assert found.ids == ()


def test_what_the_same_method_makes_of_one_cloud_stands_beside(stored):
    features, group = groups((40, 60, 25))
    file = stored(features, some_labels(group))
    for method in ("hdbscan", "kmeans"):
        found = cluster_layer(file, "fc", Maps(clusters=method, k=3))
        assert found.silhouette > found.silhouette_by_chance + 0.2
        assert (found.clustered_by_chance == 125) == (method == "kmeans")


def test_numbers_go_by_size_and_by_the_first_row_among_equals():
    assert by_size(np.array([5, 5, -1, 2, 2, 2, 7, 7])).tolist() == [2, 2, 0, 1, 1, 1, 3, 3]
    assert by_size(np.array([-1, -1])).tolist() == [0, 0]

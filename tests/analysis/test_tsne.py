"""Maps that are the same each time, by either library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from pool5.analysis.maps.tsne import choose_backend, draw_sample, make_map, place_points


def clusters(count: int, width: int = 64, of: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features in `of` clusters far apart, and which cluster each row is of."""
    random = np.random.default_rng(seed)
    cluster = random.integers(of, size=count)
    centres = np.random.default_rng(99).normal(size=(of, width)) * 5
    return (centres[cluster] + random.normal(size=(count, width))).astype(np.float32), cluster


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


def test_a_sample_is_the_same_for_the_same_seed_and_has_no_image_twice():
    rows = draw_sample(5000, 1000, seed=3)
    np.testing.assert_array_equal(rows, draw_sample(5000, 1000, seed=3))
    assert len(set(rows.tolist())) == 1000
    assert (np.diff(rows) > 0).all()
    assert (rows != draw_sample(5000, 1000, seed=4)).any()
    np.testing.assert_array_equal(draw_sample(7, 1000, seed=0), np.arange(7))


def test_as_few_images_as_the_perplexity_allows_are_mapped():
    assert make_map(clusters(91)[0]).points.shape == (91, 2)
    for backend in ("sklearn", "opentsne"):
        assert np.isfinite(make_map(clusters(4)[0], perplexity=1, backend=backend).points).all()

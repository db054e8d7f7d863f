"""The methods in the registry, by the tests that any of them must pass, and beside independent sources."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from pool5.analysis.maps.methods import METHODS
from pool5.analysis.maps.pca import principal_components
from pool5.analysis.maps.tsne import make_map
from pool5.params.sections import Maps

from .map_method_tests import MapMethodTests, clustered


class TestTsne(MapMethodTests):
    name = "tsne"

    def test_it_is_the_map_of_the_stage_tsne(self):
        rows = clustered(100)
        found = METHODS["tsne"].lay_out(rows, METHODS["tsne"].decided_by(Maps(), 100), 0, "informed")
        expected = make_map(rows)
        np.testing.assert_array_equal(found.points, expected.points)
        assert found.told == {"kl": expected.kl}


class TestPca(MapMethodTests):
    name = "pca"

    def test_its_axes_are_the_eigenvectors_of_the_covariance(self):
        rows = clustered(200)
        values, vectors = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))
        expected = (rows - rows.mean(axis=0, dtype=np.float64)) @ vectors[:, ::-1][:, :2]
        found = METHODS["pca"].lay_out(rows, {}, 0, "informed")
        signs = np.sign((found.points * expected).sum(axis=0))
        np.testing.assert_allclose(found.points, signs * expected, atol=1e-3)
        assert found.told["variance"] == pytest.approx(values[::-1][:2].sum() / values.sum(), rel=1e-4)

    def test_all_components_hold_all_of_the_variance(self):
        found, shares = principal_components(clustered(30, width=6), 50)
        assert found.shape == (30, 6)
        assert shares.sum() == pytest.approx(1)


@pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
class TestUmap(MapMethodTests):
    name = "umap"

    def test_the_number_of_neighbors_is_the_one_set_as_far_as_there_are_so_many_images(self):
        decided = METHODS["umap"].decided_by
        assert decided(Maps(), 100)["n_neighbors"] == 15
        assert decided(Maps(neighbors=40), 100)["n_neighbors"] == 40
        assert decided(Maps(neighbors=40), 20)["n_neighbors"] == 19


@pytest.mark.skipif(find_spec("pacmap") is None, reason="pacmap is not installed")
class TestPacmap(MapMethodTests):
    name = "pacmap"

"""The measures of two representations, beside what their definitions say when written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from pool5.measures import CKA, COMPARISONS, RSA, NeighborOverlap, Procrustes
from pool5.measures.centred import CentredRows
from pool5.measures.cka import hsic_by_image
from pool5.measures.permutations import PairSums, permuted_product

from .representation_tests import RepresentationMeasureTests, represented, two_views


def unbiased_hsic(first, second):
    """Song et al. 2012, equation 5, as it stands there."""
    n = len(first)
    k, m = (each @ each.T for each in (first, second))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    one = np.ones(n)
    found = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (found - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


class TestCKA(RepresentationMeasureTests):
    measure = CKA()

    def expected(self, first, second):
        size = unbiased_hsic(first, first) * unbiased_hsic(second, second)
        return unbiased_hsic(first, second) / math.sqrt(size)


class TestRSA(RepresentationMeasureTests):
    measure = RSA()

    def expected(self, first, second):
        return spearmanr(pdist(first, "cosine"), pdist(second, "cosine")).statistic


class TestOverlapAt5(RepresentationMeasureTests):
    measure = NeighborOverlap(5)
    slack, sure = 0.6, 0.7  # they are shrunk, and luck is averaged out

    def expected(self, first, second):
        lists = [represented(each).neighbors[:, :5] for each in (first, second)]
        return np.mean(
            [len(set(a) & set(b)) / 5 for a, b in zip(*map(np.ndarray.tolist, lists), strict=True)]
        )


class TestProcrustes(RepresentationMeasureTests):
    measure = Procrustes(permutations=20)
    wide = 0.01

    def expected(self, first, second):
        width = max(first.shape[1], second.shape[1])
        padded = []
        for each in (first, second):
            centred = each - each.mean(axis=0)
            padded.append(np.pad(centred / np.linalg.norm(centred), ((0, 0), (0, width - each.shape[1]))))
        turn, _ = orthogonal_procrustes(*padded)
        return np.linalg.norm(padded[0] @ turn - padded[1]) ** 2


def test_every_comparison_is_tested_here():
    tested = {type(tests.measure) for tests in globals().values() if getattr(tests, "measure", None)}
    assert tested == set(COMPARISONS)


@pytest.mark.parametrize(("count", "widths"), [(40, (3, 4)), (12, (50, 3)), (12, (50, 60))])
def test_hsic_by_image_adds_up_to_the_unbiased_hsic_by_pairs_of_dimensions_and_of_images(count, widths):
    sides = [CentredRows.of(each) for each in two_views(count, widths=widths)]
    exact = [side.rows(slice(None)).astype(float) for side in sides]
    found = hsic_by_image(*sides).sum() / (count * (count - 3))
    assert found == pytest.approx(unbiased_hsic(*exact), abs=1e-6)


def test_cka_of_independent_layers_is_0_on_average_however_wide_they_are():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        first, second = (rng.standard_normal((50, 80)) for _ in range(2))
        measured = CKA().compare(*(CKA().prepare(represented(each)) for each in (first, second)))
        found.append(measured.value)
    assert np.mean(found) == pytest.approx(0, abs=0.01)
    assert np.std(found) == pytest.approx(measured.chance_sd, rel=0.35)


def test_procrustes_of_few_images_in_many_dimensions_says_that_a_rotation_fits_anything():
    rng = np.random.default_rng(0)
    sides = [represented(rng.standard_normal((30, 200))) for _ in range(2)]
    found = Procrustes().compare(*map(Procrustes().prepare, sides))
    assert found.chance < 1.2
    assert abs(found.value - found.chance) < 4 * found.chance_sd


def test_the_labels_stand_in_for_a_representation_of_pairs():
    labels = np.where(np.random.default_rng(0).random((50, 4)) < 0.4, 1, -1).astype(np.int8)
    first, _ = two_views(50)
    found = RSA().compare(RSA().prepare(represented(first)), RSA.of_labels(labels))
    jaccard = pdist(labels == 1, "jaccard")
    assert found.value == pytest.approx(spearmanr(pdist(first, "cosine"), jaccard).statistic, abs=1e-6)


def test_more_images_than_can_be_sorted_or_turned_are_drawn():
    assert RSA().images(4952, [6400, 512]) == 4952
    assert RSA().images(100_000, [2048, 2048]) == 5000
    assert Procrustes().images(4952, [6400, 512]) == 4952
    assert Procrustes().images(100_000, [2048, 2048]) == 100_000
    assert Procrustes().images(4952, [6400, 4096, 512]) == 2048
    assert CKA().images(100_000, [2048]) == 100_000


def test_the_moments_over_permutations_are_those_of_all_of_them():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 5, 5))
    np.fill_diagonal(first, 0)
    np.fill_diagonal(second, 0)

    def sums(a):
        rows, columns = a.sum(axis=1), a.sum(axis=0)
        return PairSums(
            a.sum(), (a * a).sum(), (a * a.T).sum(), rows @ rows, columns @ columns, rows @ columns
        )

    every = [(first * second[np.ix_(p, p)]).sum() for p in itertools.permutations(range(5))]
    assert permuted_product(sums(first), sums(second), 5) == pytest.approx((np.mean(every), np.std(every)))

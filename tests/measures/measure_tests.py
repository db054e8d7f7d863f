"""What every measure must pass; a new one subclasses one of these."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.measures import parse_measure
from pool5.measures.retrieval import measure_queries


class MeasureTests:
    """Its name is its text."""

    measure = None

    def test_its_text_is_its_name(self):
        assert parse_measure(str(self.measure)) == self.measure
        assert hash(parse_measure(str(self.measure))) == hash(self.measure)


class ClassMeasureTests(MeasureTests):
    """A measure of the ranking of images by their scores, class by class."""

    def expected(self, scores, labels):
        """The value of one class, from an independent source; None without positives."""
        raise NotImplementedError

    def case(self, seed, rows=60):
        """Many ties, some images left out, the last class without positives."""
        rng = np.random.default_rng(seed)
        labels = rng.choice([-1, 0, 1], (rows, 4), p=[0.6, 0.1, 0.3])
        labels[:, -1] = np.minimum(labels[:, -1], 0)
        return rng.normal(size=(rows, 4)).round(1), labels

    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_what_an_independent_source_says(self, seed):
        scores, labels = self.case(seed)
        for found, s, y in zip(self.measure.of_classes(scores, labels), scores.T, labels.T, strict=True):
            expected = self.expected(s[y != 0], y[y != 0] == 1)
            assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("seed", range(5))
    def test_the_order_of_the_images_changes_nothing_and_the_value_is_a_share(self, seed):
        scores, labels = self.case(seed)
        found = self.measure.of_classes(scores, labels)
        order = np.random.default_rng(seed).permutation(len(scores))
        np.testing.assert_array_equal(self.measure.of_classes(scores[order], labels[order]), found)
        assert ((found[:-1] > 0) & (found[:-1] <= 1)).all()

    def test_a_perfect_ranking_has_one_and_a_constant_score_the_prevalence(self):
        _, labels = self.case(0)
        assert self.measure.of_classes(labels.astype(float), labels)[:-1] == pytest.approx(np.ones(3))
        prevalence = (labels == 1).sum(axis=0) / (labels != 0).sum(axis=0)
        assert self.measure.of_classes(np.zeros(labels.shape), labels)[:-1] == pytest.approx(prevalence[:-1])


class RetrievalMeasureTests(MeasureTests):
    """A measure of the first neighbors of each query."""

    def expected(self, query, others, k):
        """The value of one query from the sets of classes that it and the others show, nearest first.

        None where there is none.
        """
        raise NotImplementedError

    def case(self, seed, rows=150):
        rng = np.random.default_rng(seed)
        labels = rng.choice([-1, 0, 1], (rows, 3), p=[0.6, 0.05, 0.35]).astype(np.int8)
        order = np.argsort(rng.random((rows, rows)) + 10 * np.eye(rows), axis=1)[:, :-1]
        return labels, order

    def of(self, labels, order):
        depth = self.measure.depth(len(labels))
        return measure_queries(labels, order[:, :depth], [self.measure])[str(self.measure)]

    @pytest.mark.parametrize("rows", [2, 3, 12, 150])
    def test_it_is_what_an_independent_source_says(self, rows):
        labels, order = self.case(0, rows)
        shown = [set(np.flatnonzero(row == 1).tolist()) for row in labels]
        values, chance = self.of(labels, order)
        for q, found in enumerate(values):
            expected = self.expected(shown[q], [shown[i] for i in order[q]], self.measure.k)
            assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-6)
        np.testing.assert_array_equal(np.isnan(values), np.isnan(chance))

    def test_chance_is_what_random_orders_give_on_average(self):
        labels, _ = self.case(2, 60)
        sums = np.zeros(60)
        for seed in range(400):
            values, chance = self.of(labels, self.case(seed, 60)[1])
            sums += values / 400
        assert np.nanmean(sums) == pytest.approx(np.nanmean(chance), abs=0.003)
        np.testing.assert_allclose(sums, chance, atol=0.1)

    def test_the_numbering_of_the_images_changes_nothing_and_the_value_is_a_share(self):
        labels, order = self.case(1)
        values, chance = self.of(labels, order)
        new = np.random.default_rng(0).permutation(len(labels))
        place = np.argsort(new)
        again = self.of(labels[new], place[order[new]])
        np.testing.assert_allclose(again, (values[new], chance[new]), atol=1e-12)
        assert np.nanmin(values) >= 0
        assert np.nanmax(values) <= 1 + 1e-12

    def test_a_perfect_order_has_one(self):
        labels = np.repeat(np.eye(3, dtype=np.int8) * 2 - 1, 20, axis=0)
        shared = (labels == 1) @ (labels == 1).T.astype(int) - 10 * np.eye(60)
        order = np.argsort(-shared, axis=1, kind="stable")[:, :-1]
        values, _ = self.of(labels, order)
        if self.measure.k <= 19:
            np.testing.assert_allclose(values, 1)

    def test_one_image_alone_and_images_of_no_class_have_no_value(self):
        assert np.isnan(self.of(np.ones((1, 2), np.int8), np.empty((1, 0), int))).all()
        none = self.of(np.full((5, 2), -1, np.int8), self.case(0, 5)[1])
        assert np.isnan(none).all()

"""What every measure of two representations must pass; a new one subclasses this."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pool5.measures import parse_measure
from pool5.measures.representation import Representation

DEPTH = 7


def represented(vectors: np.ndarray) -> Representation:
    """Vectors and their nearest by cosine, by brute force."""
    vectors = np.asarray(vectors, np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, : min(DEPTH, len(vectors) - 1)]
    return Representation(vectors.astype(np.float32), nearest)


def two_views(count: int, seed: int = 0, widths: tuple[int, int] = (9, 14)) -> list[np.ndarray]:
    """What two networks make of the same images: values that are not negative, more alike than not."""
    rng = np.random.default_rng(seed)
    seen = rng.standard_normal((count, 6))
    mixing = np.random.default_rng(99)
    return [
        np.maximum(seen @ mixing.standard_normal((6, width)) + rng.standard_normal((count, width)), 0) + 0.01
        for width in widths
    ]


class RepresentationMeasureTests:
    """Its name is its text, and it has the invariants that `RepresentationMeasure` states."""

    measure = None
    slack, sure = 0.05, 0.97  # influences may be off by this factor, and scatter with this correlation

    def expected(self, first, second):
        """The value of two (N, D) float64 arrays, from an independent source."""
        raise NotImplementedError

    def of(self, first, second):
        sides = [self.measure.prepare(represented(vectors)) for vectors in (first, second)]
        return self.measure.compare(*sides)

    def test_its_text_is_its_name(self):
        assert str(parse_measure(str(self.measure))) == str(self.measure)
        assert type(parse_measure(str(self.measure))) is type(self.measure)

    @pytest.mark.parametrize(("count", "widths"), [(40, (9, 14)), (40, (60, 50)), (150, (20, 5))])
    def test_it_is_what_an_independent_source_says(self, count, widths):
        first, second = two_views(count, widths=widths)
        assert self.of(first, second).value == pytest.approx(self.expected(first, second), abs=1e-6)

    def test_a_representation_and_itself_turned_and_stretched_cannot_be_more_alike(self):
        first, _ = two_views(60)
        turned = 3 * first @ np.linalg.qr(np.random.default_rng(1).standard_normal((9, 9)))[0]
        found = self.of(first, turned)
        assert found.value == pytest.approx(self.measure.same, abs=1e-6)
        np.testing.assert_allclose(found.influences, 0, atol=1e-4)

    def test_which_of_the_two_comes_first_and_the_numbering_of_the_images_change_nothing(self):
        first, second = two_views(60)
        found, turned = self.of(first, second), self.of(second, first)
        order = np.random.default_rng(0).permutation(60)
        again = self.of(first[order], second[order])
        for other, influences in (turned, turned.influences), (again, again.influences[np.argsort(order)]):
            assert other.value == pytest.approx(found.value, abs=1e-6)
            np.testing.assert_allclose(influences, found.influences, atol=1e-4)

    def test_chance_is_what_permutations_give_on_average_and_how_far_they_scatter(self):
        first, second = two_views(30)
        found = self.of(first, second)
        rng = np.random.default_rng(0)
        sides = [self.measure.prepare(represented(each)) for each in (first, second)]
        quick = self._without_own_permutations()
        drawn = []
        for _ in range(600):
            order = rng.permutation(30)
            place = np.argsort(order)
            moved = represented(second)
            moved = Representation(moved.vectors[order], place[moved.neighbors[order]])
            drawn.append(quick.compare(sides[0], quick.prepare(moved)).value)
        assert found.chance == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 600**0.5 + self.wide)
        assert found.chance_sd == pytest.approx(np.std(drawn), rel=0.15 if not self.wide else 0.6)

    wide = 0.0  # what chance may be off where it is drawn

    def _without_own_permutations(self):
        fields = {field.name for field in dataclasses.fields(self.measure)}
        return dataclasses.replace(self.measure, permutations=1) if "permutations" in fields else self.measure

    def test_influences_have_the_mean_0_and_foretell_what_leaving_images_out_does(self):
        first, second = two_views(200)
        found = self.of(first, second)
        assert found.influences.mean() == pytest.approx(0, abs=1e-9)
        left_out = []
        for row in range(0, 200, 5):
            rest = np.delete(np.arange(200), row)
            left_out.append(self.of(first[rest], second[rest]).value)
        told = 199 * (found.value - np.array(left_out))
        own = found.influences[::5]
        assert np.corrcoef(told, own)[0, 1] > self.sure
        assert np.polyfit(own, told, 1)[0] == pytest.approx(1, abs=self.slack)

    def test_a_representation_that_is_the_same_for_all_images_has_no_value(self):
        first, _ = two_views(20)
        same = Representation(np.ones((20, 4), np.float32), represented(first).neighbors)
        found = self.measure.compare(self.measure.prepare(represented(first)), self.measure.prepare(same))
        assert np.isnan(found.value) or type(self.measure).__name__ == "NeighborOverlap"

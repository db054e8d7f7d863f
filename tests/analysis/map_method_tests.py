"""What every map method must hold: derive a class from `MapMethodTests`."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pool5.analysis.maps.methods import METHODS, other_starts
from pool5.analysis.maps.trust import measure_trust
from pool5.params.sections import Maps

AGAIN = """
import sys, numpy as np
from pool5.analysis.maps.methods import METHODS
from pool5.params.sections import Maps
method = METHODS[sys.argv[1]]
rows = np.load(sys.argv[2])
points = method.lay_out(rows, method.decided_by(Maps(), len(rows)), 0, "informed").points
np.save(sys.argv[3], points)
"""


def clustered(count: int, width: int = 40, of: int = 5, seed: int = 0) -> np.ndarray:
    """Rows in `of` groups that overlap a little."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(of, width)) * 2
    return (centres[np.arange(count) % of] + random.normal(size=(count, width))).astype(np.float32)


class MapMethodTests:
    """`name` is that of the method in the registry."""

    name: str

    @property
    def method(self):
        return METHODS[self.name]

    def lay_out(self, rows: np.ndarray, seed: int = 0, start: str = "informed", **settings) -> np.ndarray:
        decided = self.method.decided_by(Maps(**settings), len(rows))
        return self.method.lay_out(rows, decided, seed, start).points

    def test_every_row_gets_a_finite_place_and_the_rows_are_left_as_they_are(self):
        rows = clustered(120)
        before = rows.copy()
        points = self.lay_out(rows)
        assert points.shape == (120, 2)
        assert points.dtype == np.float64
        assert np.isfinite(points).all()
        np.testing.assert_array_equal(rows, before)

    @pytest.mark.parametrize("start", ["informed", "random"])
    def test_the_same_again_is_the_same_to_the_bit(self, start):
        rows = clustered(150)
        np.testing.assert_array_equal(self.lay_out(rows, 3, start), self.lay_out(rows, 3, start))

    @pytest.mark.slow
    @pytest.mark.parametrize("count", [300, 5000])
    def test_other_processes_with_other_threads_give_the_same_bits(self, tmp_path, monkeypatch, count):
        """5000 rows are beyond what a library may compare pair by pair."""
        if count > 1000 and self.name == "tsne":
            pytest.skip("its threads are of tests/analysis/test_tsne.py")
        np.save(tmp_path / "rows.npy", clustered(count))
        for threads in "12":
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
            monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
            arguments = [self.name, tmp_path / "rows.npy", tmp_path / f"{threads}.npy"]
            subprocess.run([sys.executable, "-c", AGAIN, *map(str, arguments)], check=True)
        np.testing.assert_array_equal(np.load(tmp_path / "1.npy"), np.load(tmp_path / "2.npy"))

    def test_it_keeps_far_more_neighbors_than_points_placed_by_lot(self):
        rows = clustered(250)
        nothing = np.empty((250, 0), np.int8)
        trust = measure_trust(rows, nothing, [], self.lay_out(rows))
        assert trust.knn_preservation > 3 * 10 / 249
        assert trust.trustworthiness > 0.75

    def test_what_decides_it_is_plain_json_and_fits_few_rows(self):
        for count in (0, 1, self.method.fewest, 1000):
            decided = self.method.decided_by(Maps(), count)
            assert json.loads(json.dumps(decided)) == decided

    @pytest.mark.parametrize("more", [0, 1, 2, 7, 30])
    def test_few_rows_are_no_error(self, more):
        rows = clustered(self.method.fewest + more)
        for start in ("informed", "random"):
            points = self.lay_out(rows, start=start)
            assert points.shape == (len(rows), 2)
            assert np.isfinite(points).all()

    @pytest.mark.parametrize("form", ["a line", "one column", "two values", "huge", "tiny", "half"])
    def test_odd_rows_are_no_error(self, form):
        rows = clustered(60)
        if form == "a line":
            rows = np.outer(np.arange(60), np.ones(8)).astype(np.float32)
        if form == "one column":
            rows = rows[:, :1]
        if form == "two values":
            rows = np.repeat(rows[:2], 30, axis=0)
        if form in ("huge", "tiny"):
            rows = rows * np.float32(1e12 if form == "huge" else 1e-12)
        if form == "half":
            rows = rows.astype(np.float16)
        assert np.isfinite(self.lay_out(rows)).all()

    def test_other_starts_are_other_maps_of_the_same_rows(self):
        rows = clustered(150)
        decided = self.method.decided_by(Maps(), 150)
        others = other_starts(self.method, rows, decided, 0, 2)
        assert [other.shape for other in others] == [(150, 2)] * 2
        assert self.name == "pca" or not np.array_equal(*others)

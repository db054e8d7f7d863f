"""The Pareto plot of an index."""

from __future__ import annotations

from pathlib import Path

from pool5.figures.pareto import draw_pareto
from pool5.search.quality import OperatingPoint

POINTS = [
    OperatingPoint({"nprobe": n}, {1: min(1, 0.9 + n / 100), 10: 0.7 + n / 30, 100: 0.5 + n / 20}, 100.0 * n)
    for n in (1, 2, 4, 8)
]


def test_the_plot_names_depths_the_chosen_setting_and_the_bytes_and_is_the_same_twice(tmp_path: Path):
    for name in ("a", "b"):
        draw_pareto(POINTS, POINTS[2], 5000, tmp_path / name, title="net/fc7, IVF8,PQ4", bytes_per_vector=12)
    svg = (tmp_path / "a.svg").read_text()
    for words in ("recall@1<", "recall@10<", "recall@100<", "chosen: nprobe=4", "12 bytes a vector", "5000"):
        assert words in svg
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_single_exact_point_is_drawn_too(tmp_path: Path):
    only = OperatingPoint({}, {1: 1.0, 10: 1.0}, 300)
    draw_pareto([only], only, 300, tmp_path / "flat", title="net/fc7, Flat", bytes_per_vector=96)
    assert "chosen: exact" in (tmp_path / "flat.svg").read_text()

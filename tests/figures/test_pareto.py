"""The Pareto plot of an index."""

from __future__ import annotations

import warnings
from pathlib import Path

from pool5.figures.pareto import draw_pareto
from pool5.results.index_quality import IndexQuality, OperatingPoint

POINTS = tuple(
    OperatingPoint(
        setting={"nprobe": n},
        recall={"1": min(1, 0.9 + n / 100), "10": 0.7 + n / 30, "100": 0.5 + n / 20},
        compared=100.0 * n,
        on_front=True,
    )
    for n in (1, 2, 4, 8)
)


def quality(points: tuple[OperatingPoint, ...], chosen: OperatingPoint | None, rows: int) -> IndexQuality:
    return IndexQuality(
        layer="net/fc7",
        split="test",
        factory="IVF8,PQ4",
        reason="",
        rows=rows,
        bytes_per_vector=12.0,
        points=points,
        chosen=chosen,
    )


def test_the_plot_names_depths_the_chosen_setting_and_the_bytes_and_is_the_same_twice(tmp_path: Path):
    for name in ("a", "b"):
        draw_pareto(quality(POINTS, POINTS[2], 5000), tmp_path / name)
    svg = (tmp_path / "a.svg").read_text()
    for words in ("recall@1<", "recall@10<", "recall@100<", "chosen: nprobe=4", "12 bytes a vector", "5000"):
        assert words in svg
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_single_exact_point_is_drawn_without_a_warning(tmp_path: Path):
    only = OperatingPoint(setting={}, recall={"1": 1.0, "10": 1.0}, compared=300.0, on_front=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_pareto(quality((only,), only, 300), tmp_path / "flat")
    assert "chosen: exact" in (tmp_path / "flat.svg").read_text()


def test_where_nothing_was_measured_nothing_is_drawn(tmp_path: Path):
    draw_pareto(quality((), None, 1), tmp_path / "one")
    assert not list(tmp_path.iterdir())


def test_one_operating_point_gives_no_warning(tmp_path: Path):
    point = OperatingPoint(setting={}, recall={"1": 1.0}, compared=60.0, on_front=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_pareto(quality((point,), point, 60), tmp_path / "one")
    assert (tmp_path / "one.png").is_file()

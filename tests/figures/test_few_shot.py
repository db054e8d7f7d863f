"""AP against the number of examples: a line a probe, its band, and the whole split beyond."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import matplotlib.figure
import numpy as np
import pytest

from pool5.figures import few_shot
from pool5.figures.few_shot import draw_few_shot
from pool5.results.few_shot import FewShotResult, FewShotRow


def result(probe: str, *means: float | None, shots=(1, 2, 4), half=0.02) -> FewShotResult:
    """A result of these means, the last of them on the whole split."""
    rows = [
        FewShotRow(
            probe=probe, class_name=name, measure="AP(area)", shots=n, ap=ap,
            lo=None if n is None or ap is None or half is None else ap - half,
            hi=None if n is None or ap is None or half is None else ap + half, positives=3.0,
        )
        for name in ("cat", None)
        for n, ap in zip((*shots, None), means, strict=True)
    ]  # fmt: skip
    return FewShotResult(
        probe=probe, of="net/fc7", kind="knn", C=None, split="train", shots=shots, repeats=5, seed=0,
        images={}, rows=tuple(rows),
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and gives the figure that was saved."""
    saved: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr(few_shot, "save_figure", lambda figure, stem: saved.append(figure))

    def draw(*results: FewShotResult) -> matplotlib.figure.Figure | None:
        draw_few_shot(results, tmp_path / "few_shot")
        return saved[0] if saved else None

    return draw


def test_a_line_a_probe_with_its_band_and_the_whole_split_beyond(drawn):
    (axes,) = drawn(result("linear", 0.2, 0.3, 0.4, 0.6), result("knn", 0.1, 0.2, 0.5, 0.5)).axes
    line, end, *_ = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.2], [2, 0.3], [4, 0.4]])
    np.testing.assert_allclose(end.get_xydata(), [[4, 0.4], [8, 0.6]])
    assert [each.get_text() for each in axes.get_xticklabels()] == ["1", "2", "4", "all"]
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(0.18), pytest.approx(0.42))
    assert [line.get_label() for line in axes.lines[::2]] == ["linear", "knn"]


def test_a_single_draw_has_no_band(drawn):
    (axes,) = drawn(result("knn", 0.2, 0.3, 0.4, 0.6, half=None)).axes
    assert len(axes.lines) == 2
    assert len(axes.collections) == 0


def test_one_number_of_examples_is_a_point_and_the_whole_split(drawn):
    (axes,) = drawn(result("knn", 0.2, 0.6, shots=(5,))).axes
    assert [each.get_text() for each in axes.get_xticklabels()] == ["5", "all"]


def test_a_probe_without_ap_has_no_line_and_none_at_all_no_figure(drawn):
    nothing = result("knn", None, None, None, None)
    assert drawn(nothing) is None
    (axes,) = drawn(nothing, result("linear", 0.2, 0.3, 0.4, 0.6)).axes
    assert len(axes.lines) == 2


def test_the_same_results_give_the_same_bytes_and_both_files(tmp_path):
    for name in ("a", "b"):
        draw_few_shot([result("linear", 0.2, 0.3, 0.4, 0.6)], tmp_path / name)
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    texts = "".join(ET.parse(tmp_path / "a.svg").getroot().itertext())
    assert "95 % t-interval" in texts
    assert "mean over classes of AP(area) on test" in texts

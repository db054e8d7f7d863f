"""The figures of a map: the same bytes each time, every class named, nothing cut off."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from pool5.analysis.tsne import Trust
from pool5.figures.tsne import draw_map, draw_panels


def a_map(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], Trust]:
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 2)) * [30, 12]
    labels = np.where(random.random((count, classes)) < 1.5 / classes, 1, -1).astype(np.int8)
    labels[:3] = -1
    labels[0, 0] = 0
    share = np.linspace(0, 1, classes)
    trust = Trust(1.234, 0.912, 0.37, 0.61, 10, share, share, np.where(share > 0.9, np.nan, share))
    return points, labels, tuple(f"class-{i}" for i in range(classes)), trust


def texts(svg: str) -> str:
    return "\n".join(e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
def test_figures_have_the_same_bytes_each_time(tmp_path, draw):
    points, labels, classes, trust = a_map(200, 20)
    for name in ("one", "two"):
        draw(points, labels, classes, trust, tmp_path / name, title="m/fc7")
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
def test_every_class_is_named_with_its_number_of_images(tmp_path, draw):
    points, labels, classes, trust = a_map(200, 20)
    draw(points, labels, classes, trust, tmp_path / "figure", title="m/fc7")
    told = texts((tmp_path / "figure.svg").read_text())
    for name, count in zip(classes, (labels == 1).sum(axis=0), strict=True):
        assert f"{name} ({count})" in told


def test_the_map_tells_its_trust_and_marks_images_with_several_classes_and_with_none(tmp_path):
    points, labels, classes, trust = a_map(200, 20)
    draw_map(points, labels, classes, trust, tmp_path / "map", title="m/fc7: a map")
    told = texts((tmp_path / "map.svg").read_text())
    several, none = ((labels == 1).sum(axis=1) > 1).sum(), (~(labels == 1).any(axis=1)).sum()
    for words in (
        "m/fc7: a map",
        "1.234",
        "0.912",
        "37%",
        "61%",
        f"({several})",
        f"no certain class ({none})",
    ):
        assert words in told


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
@pytest.mark.parametrize(("count", "classes"), [(50, 1), (200, 20), (300, 90)])
def test_nothing_is_cut_off_at_the_edges(tmp_path, draw, count, classes):
    points, labels, names, trust = a_map(count, classes)
    names = tuple(f"{name} with a longish name" for name in names)
    draw(
        points, labels, names, trust, tmp_path / "figure", title="resnet18-finetuned/fc7: t-SNE of 300 images"
    )
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge > 250).all()


def test_a_map_of_many_points_keeps_a_small_svg(tmp_path):
    points, labels, classes, trust = a_map(30_000, 20)
    draw_map(points, labels, classes, trust, tmp_path / "map", title="m/fc7")
    assert (tmp_path / "map.svg").stat().st_size < 3_000_000

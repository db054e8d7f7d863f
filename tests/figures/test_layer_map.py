"""The figures of a map: the same bytes each time, every class named, nothing cut off."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from pool5.figures.layer_map import draw_map, draw_panels
from pool5.figures.map_table import write_map_table
from pool5.files.csv_file import joined
from pool5.results.tsne_map import ClassOnMap, TsneResult


def a_map(count: int, classes: int, seed: int = 0) -> tuple[TsneResult, np.ndarray, tuple[str, ...]]:
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 2)) * [30, 12]
    labels = np.where(random.random((count, classes)) < 1.5 / max(classes, 1), 1, -1).astype(np.int8)
    labels[:3] = -1
    labels[:1, :1] = 0
    names = tuple(f"class-{i}" for i in range(classes))
    share = np.linspace(0, 1, classes)
    result = TsneResult(
        layer="m/fc7", split="test", images=count, perplexity=30, seed=0, backend="sklearn",
        ids=tuple(f"{i:06}" for i in range(count)), points=tuple(map(tuple, points.tolist())),
        neighbors=10, kl=1.234, trustworthiness=0.912, knn_preservation=0.37, stability=0.61,
        by_class=tuple(
            ClassOnMap(class_name=name, purity=p, purity_in_layer=p, chance=p)
            for name, p in zip(names, share.tolist(), strict=True) if p <= 0.9
        ),
    )  # fmt: skip
    return result, labels, names


def texts(svg: str) -> str:
    return "\n".join(e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
def test_figures_have_the_same_bytes_each_time(tmp_path, draw):
    result, labels, classes = a_map(200, 20)
    for name in ("one", "two"):
        draw(result, labels, classes, tmp_path / name, title="m/fc7")
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
def test_every_class_is_named_with_its_number_of_images(tmp_path, draw):
    result, labels, classes = a_map(200, 20)
    draw(result, labels, classes, tmp_path / "figure", title="m/fc7")
    told = texts((tmp_path / "figure.svg").read_text())
    for name, count in zip(classes, (labels == 1).sum(axis=0), strict=True):
        assert f"{name} ({count})" in told


def test_the_map_tells_its_trust_and_marks_images_with_several_classes_and_with_none(tmp_path):
    result, labels, classes = a_map(200, 20)
    draw_map(result, labels, classes, tmp_path / "map", title="m/fc7: a map")
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
    result, labels, names = a_map(count, classes)
    names = tuple(f"{name} with a longish name" for name in names)
    draw(result, labels, names, tmp_path / "figure", title="resnet18-finetuned/fc7: t-SNE of 300 images")
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge > 250).all()


def test_a_map_of_many_points_keeps_a_small_svg(tmp_path):
    result, labels, classes = a_map(30_000, 20)
    draw_map(result, labels, classes, tmp_path / "map", title="m/fc7")
    assert (tmp_path / "map.svg").stat().st_size < 3_000_000


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
def test_the_name_of_a_class_is_no_formula(tmp_path, draw):
    result, labels, _ = a_map(50, 2)
    draw(result, labels, ("$x_1$ and $", "_under_score"), tmp_path / "figure", title="m/$fc7$")
    told = texts((tmp_path / "figure.svg").read_text())
    for words in ("m/$fc7$", "$x_1$ and $ (", "_under_score ("):
        assert words in told


def test_without_classes_the_map_is_grey_and_the_panels_say_why_there_are_none(tmp_path):
    result, labels, classes = a_map(50, 0)
    result = replace(result, gaps=("no purity by class: the images have no labels",))
    draw_map(result, labels, classes, tmp_path / "map", title="m/fc7")
    draw_panels(result, labels, classes, tmp_path / "panels", title="m/fc7")
    assert "no labels (50)" in texts((tmp_path / "map.svg").read_text())
    assert result.gaps[0] in texts((tmp_path / "panels.svg").read_text())


@pytest.mark.parametrize("draw", [draw_map, draw_panels])
def test_where_there_is_no_map_the_figure_says_why(tmp_path, draw):
    result, labels, classes = a_map(0, 3)
    result = replace(result, gaps=("no map: it needs 4 images or more, and there are 0",))
    draw(result, labels, classes, tmp_path / "figure", title="m/fc7")
    assert result.gaps[0] in texts((tmp_path / "figure.svg").read_text())
    write_map_table(result, labels, classes, tmp_path / "map.csv")
    assert (tmp_path / "map.csv").read_text() == "id,x,y,labels,colour\n"


def test_the_table_of_a_map_keeps_the_zeros_of_ids_and_the_spaces_of_names(tmp_path):
    result, labels, _ = a_map(2, 3)
    result = replace(result, ids=("000012", "000100"), points=((1.5, -2.0), (0.0, 3.0)))
    labels = np.array([[1, -1, 1], [0, -1, -1]], np.int8)
    write_map_table(result, labels, ("traffic light", "dog", "person"), tmp_path / "map.csv")
    with (tmp_path / "map.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["x"], first["y"]) == ("000012", "1.50000", "-2.00000")
    assert first["labels"] == joined(["traffic light", "person"])
    assert (second["labels"], second["colour"]) == ("", "#9e9e9e")

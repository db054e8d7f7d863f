"""The figure and the tables of clusters."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET

import numpy as np
from msgspec.structs import replace
from PIL import Image

from pool5.figures.cluster_tables import write_cluster_classes, write_cluster_images
from pool5.figures.clusters import draw_clusters
from pool5.figures.layer_map import draw_map
from pool5.figures.map_table import write_map_table
from pool5.results.clusters import ClassInCluster, Cluster, ClustersResult
from pool5.results.layer_map import MapResult

IDS = tuple(f"{i:03}" for i in range(40))
CAT = ClassInCluster(class_name="cat", images=9, share=0.6, chance=0.2, p_value=1e-5, beyond_chance=True)
FOUND = ClustersResult(
    layer="m/fc", split="test", method="hdbscan", images=40, ids=IDS, noise=13,
    cluster=(1,) * 15 + (2,) * 12 + (0,) * 13,
    clusters=(
        Cluster(number=1, images=15, silhouette=0.2, typical=("003", "001"), classes=(CAT,)),
        Cluster(number=2, images=12, silhouette=None, typical=("020",)),
    ),
)  # fmt: skip


def a_map(title: str, ids: tuple[str, ...] = IDS) -> MapResult:
    points = np.random.default_rng(len(title)).normal(size=(len(ids), 2)) * [1e-4, 300]
    return MapResult(
        layer="m/fc", split="test", method=title.lower(), title=title, images=len(ids), ids=ids, neighbors=10,
        points=tuple(map(tuple, points.tolist())), trustworthiness=0.9, knn_preservation=0.3,
        told={"variance": 0.25},
    )  # fmt: skip


def texts(svg: str) -> str:
    return "\n".join(e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_every_map_has_its_panel_with_the_numbers_of_the_clusters_and_the_same_bytes_each_time(tmp_path):
    maps = [a_map("PCA"), a_map("UMAP"), a_map("PaCMAP"), a_map("mine", IDS[10:20])]
    for name in ("one", "two"):
        draw_clusters(maps, FOUND, tmp_path / name, title="m/fc: clusters")
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    told = texts((tmp_path / "one.svg").read_text())
    assert [told.split("\n").count(word) for word in ("PCA", "mine", "1", "2")] == [1, 1, 4, 4]
    assert "grey: in no cluster (13 of 40)" in told


def test_without_clusters_or_maps_the_figure_says_why(tmp_path):
    none = replace(FOUND, clusters=(), cluster=(), ids=(), gaps=("no clusters: there are 3 images",))
    draw_clusters([a_map("PCA")], none, tmp_path / "a", title="m/fc")
    assert "no clusters: there are 3 images" in texts((tmp_path / "a.svg").read_text())
    draw_clusters([], FOUND, tmp_path / "b", title="m/fc")
    assert "there is no map" in texts((tmp_path / "b.svg").read_text())
    assert Image.open(tmp_path / "b.png").width > 100


def test_the_tables_have_a_row_an_image_and_a_row_a_class_of_a_cluster(tmp_path):
    write_cluster_images(FOUND, tmp_path / "images.csv")
    rows = list(csv.DictReader((tmp_path / "images.csv").open()))
    assert [rows[i] for i in (3, 20, 39)] == [
        {"id": "003", "cluster": "1", "typical": "1"},
        {"id": "020", "cluster": "2", "typical": "1"},
        {"id": "039", "cluster": "", "typical": ""},
    ]
    write_cluster_classes(FOUND, tmp_path / "classes.csv")
    (row,) = csv.DictReader((tmp_path / "classes.csv").open())
    assert (row["cluster"], row["class"], row["share"], row["beyond_chance"]) == ("1", "cat", "0.600000", "1")


def test_a_further_map_is_drawn_and_tabled_as_tsne_is_whatever_its_scale(tmp_path):
    found, labels = a_map("PCA"), np.ones((40, 1), np.int8)
    draw_map(found, labels, ["cat"], tmp_path / "map", title="m/fc: PCA")
    told = texts((tmp_path / "map.svg").read_text())
    assert "trustworthiness 0.900   ·   variance 0.25" in told
    assert "cat (40)" in told
    write_map_table(found, labels, ["cat"], tmp_path / "map.csv")
    table = list(csv.DictReader((tmp_path / "map.csv").open()))
    np.testing.assert_allclose([[float(r["x"]), float(r["y"])] for r in table], found.points, rtol=1e-5)

"""The stage on a small store: every map and the clusters with their files, and nothing made twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.project import Project
from pool5.results.clusters import ClustersResult
from pool5.results.layer_map import MapResult
from pool5.results.record import load_record
from pool5.stages import maps

from .small_project import put_params, put_split

PLAIN = {"of": ["net/fc"], "methods": ["pca"], "min_cluster_size": 5, "stability_seeds": 1}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """Sixty images in three groups far apart, each of one class."""
    monkeypatch.chdir(tmp_path)
    project = Project()
    group = np.arange(60) % 3
    random = np.random.default_rng(0)
    vectors = random.normal(size=(3, 8))[group] * 6 + random.normal(size=(60, 8))
    put_split(project, "test", vectors, np.where(np.eye(3, dtype=bool)[group], 1, -1))
    put_params(project, maps=PLAIN)
    return project


def written(project: Project) -> dict[str, bytes]:
    folders = project.report("maps"), project.result_folder("maps"), project.metrics("x").parent
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def test_every_map_has_a_record_a_table_and_a_figure_and_the_clusters_too(project):
    maps.main()
    found = load_record(MapResult, project.result("maps/net/fc/pca"))
    assert (found.layer, found.method, found.title, found.images) == ("net/fc", "pca", "PCA", 60)
    assert len(found.points) == len(found.ids) == 60
    assert found.trustworthiness > 0.8
    assert found.told["variance"] > 0.5
    assert found.stability == 1
    clusters = load_record(ClustersResult, project.result("maps/net/fc/clusters"))
    assert [(each.images, each.classes[0].share) for each in clusters.clusters] == [(20, 1.0)] * 3
    folder = project.report("maps", "net", "fc")
    assert {path.name for path in (folder / "pca").iterdir()} == {"map.csv", "map.png", "map.svg"}
    there = {"images.csv", "classes.csv", "maps.png", "maps.svg"}
    assert {path.name for path in (folder / "clusters").iterdir()} == there
    metrics = json.loads(project.metrics("maps").read_text())
    assert metrics == {"net/fc": {"pca": found.metrics(), "clusters": clusters.metrics()}}
    (row,) = csv.DictReader(project.report("maps", "trust.csv").open())
    assert (row["layer"], row["map"], row["stability"]) == ("net/fc", "pca", "1.000000")


def test_a_second_run_makes_nothing_and_another_cluster_size_makes_no_map(project, monkeypatch):
    maps.main()
    before = written(project)
    made = []
    real = maps.map_by
    monkeypatch.setattr(maps, "map_by", lambda name, *rest: made.append(name) or real(name, *rest))
    maps.main()
    assert (made, written(project)) == ([], before)
    put_params(project, maps=PLAIN | {"clusters": "kmeans", "k": 4})
    maps.main()
    assert made == []
    assert len(load_record(ClustersResult, project.result("maps/net/fc/clusters")).clusters) == 4


def test_without_the_unit_cache_the_bytes_are_the_same(project):
    import shutil

    maps.main()
    before = written(project)
    shutil.rmtree(project.unit_cache)
    maps.main()
    assert written(project) == before


def test_ones_own_points_are_held_against_the_layer(project):
    maps.main()
    table = project.report("maps", "net", "fc", "pca", "map.csv").read_text()
    Path("mine.csv").write_text(table + "nobody,1,2,,\n")
    put_params(project, maps=PLAIN | {"points": {"mine": "mine.csv"}})
    maps.main()
    pca, mine = (load_record(MapResult, project.result(f"maps/net/fc/{name}")) for name in ("pca", "mine"))
    assert (mine.points, mine.ids, mine.trustworthiness) == (pca.points, pca.ids, pca.trustworthiness)
    assert mine.stability is None
    assert mine.gaps == ("1 point of mine of no image of test",)
    Path("mine.csv").write_text("\n".join(table.split("\n")[:31]) + "\n")
    maps.main()
    mine = load_record(MapResult, project.result("maps/net/fc/mine"))
    assert (mine.images, mine.gaps) == (30, ("30 images of test without a point in mine",))


def test_a_library_that_is_not_installed_is_a_gap_that_says_what_to_do(project, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "umap", None)
    put_params(project, maps=PLAIN | {"methods": ["umap"], "clusters": "none"})
    maps.main()
    (gap,) = load_record(MapResult, project.result("maps/net/fc/umap")).gaps
    assert gap.startswith("no map by UMAP: umap")
    assert "pool5[maps]" in gap
    assert not project.report("maps", "net", "fc", "clusters").exists()


@pytest.mark.parametrize("clusters", ["hdbscan", "kmeans"])
def test_few_images_and_no_classes_are_gaps(project, clusters):
    put_split(project, "test", np.eye(3, 8), np.empty((3, 0)), classes=())
    put_params(project, maps=PLAIN | {"clusters": clusters})
    maps.main()
    (gap,) = load_record(MapResult, project.result("maps/net/fc/pca")).gaps
    assert gap == "no map by PCA: it needs 4 images or more, and there are 3"
    (gap,) = load_record(ClustersResult, project.result("maps/net/fc/clusters")).gaps
    assert gap.startswith("no clusters: it needs")


def test_points_that_are_none_are_one_line(project):
    put_params(project, maps=PLAIN | {"points": {"mine": "mine.csv"}})
    Path("mine.csv").write_text("id,x,y\na,1,2\nb,nan,2\n")
    with pytest.raises(UserError, match=r"mine\.csv:3: 'nan' and '2' are no place"):
        maps.main()


def test_with_nothing_asked_for_every_output_is_there_and_empty(project):
    put_params(project, maps={})
    maps.main()
    for folder in (project.result_folder("maps"), project.report("maps")):
        assert [path.name for path in folder.iterdir()] == ["nothing.txt"]
    assert json.loads(project.metrics("maps").read_text()) == {}

"""Files of one's own points are inputs of the stage `maps`, noticed as lists of images are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pool5.cli.upkeep import files_read, graph_for, shipped, unnoticed_files
from pool5.errors import UserError
from pool5.params import load_params
from pool5.project import Project
from pool5.stages.params import main

PARAMS = """
dataset: {name: toy, kind: images, root: images, train: train, test: test}
models:
  net:
    {architecture: resnet18, weights: random, layers: {pooled: flatten}, preprocess: {resize: 36, crop: 32}}
maps: {of: [%s], points: {%s}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS % ("net/pooled", "mine: own/mine.csv"))
    for name in ("recipes", "dvc"):
        Path(f"{name}.yaml").write_text(shipped("graph.yaml" if name == "dvc" else "recipes.yaml"))
    Path("own").mkdir()
    Path("own/mine.csv").write_text("id,x,y\na,1,2\n")
    return Project(tmp_path)


def problems(project: Project) -> list[str]:
    return list(unnoticed_files(load_params(project.params), project))


def test_a_file_that_the_graph_does_not_name_is_told_and_init_names_it(project):
    (told,) = problems(project)
    assert told.startswith("maps.points.mine: add own/mine.csv to the deps of the stage params in")
    params = load_params(project.params)
    project.graph.write_text(graph_for(params.dataset, files_read(params, project)))
    assert problems(project) == []


def test_a_file_that_the_pipeline_writes_is_refused(project):
    (project.reports / "maps").mkdir(parents=True)
    (project.reports / "maps/map.csv").write_text("id,x,y\n")
    project.params.write_text(PARAMS % ("net/pooled", "mine: reports/maps/map.csv"))
    (told,) = problems(project)
    assert told.endswith("is made by the pipeline, which reads it first; copy it elsewhere")


def test_the_content_of_points_decides_the_stage_maps_and_no_other(project):
    def decided() -> dict[str, str]:
        main()
        return {path.stem: path.read_text() for path in project.resolved("maps").parent.rglob("*.json")}

    params = load_params(project.params)
    project.graph.write_text(graph_for(params.dataset, files_read(params, project)))
    before = decided()
    assert set(json.loads(before["maps"])["points_sha256"]) == {"mine"}
    Path("own/mine.csv").write_text("id,x,y\na,2,2\n")
    after = decided()
    assert {stage for stage in before if before[stage] != after[stage]} == {"maps"}
    project.params.write_text(PARAMS % ("net/pooled", ""))
    assert "points_sha256" not in json.loads(decided()["maps"])
    project.params.write_text(PARAMS % ("net/pooled", "mine: none.csv"))
    with pytest.raises(UserError, match=r"maps\.points\.mine: .*none\.csv cannot be read"):
        main()


@pytest.mark.parametrize(
    ("of", "points", "told"),
    [
        ("net/pooled", "mine: /etc/passwd", "maps.points.mine: /etc/passwd: no file of the project; copy it"),
        ("net/pooled", "mine: ../mine.csv", "maps.points.mine: ../mine.csv: no file of the project"),
        ("net/pooled", "umap: mine.csv", "maps.points.umap: a map has this name already"),
        ("net/pooled", "a.b: mine.csv", "maps.points.a.b: not a name for points of one's own"),
        ("", "mine: own/mine.csv", "maps.points: points are held against a layer; name one in maps.of"),
    ],
)
def test_names_that_are_taken_and_paths_that_lead_out_are_refused(project, of, points, told):
    project.params.write_text(PARAMS % (of, points))
    with pytest.raises(UserError, match=re.escape(told)):
        load_params(project.params)

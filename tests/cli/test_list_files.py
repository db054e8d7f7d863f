"""Lists of images are inputs: a change of one runs the stage `dataset`, and nothing may hide it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pool5.cli.upkeep import files_read, graph_for, shipped, unnoticed_files
from pool5.errors import UserError
from pool5.params import load_params
from pool5.project import Project
from pool5.stages.params import main

PARAMS = """
dataset: {name: toy, kind: images, root: images, train: train, test: test%s}
models:
  net:
    {architecture: resnet18, weights: random, layers: {pooled: flatten}, preprocess: {resize: 36, crop: 32}}
"""
LISTS = ", lists: {train: a.txt, test: b.txt}, exclude: ['*.png', leaks.txt]"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """One whose params.yaml names three lists, which its graph notices."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS % LISTS)
    Path("recipes.yaml").write_text(shipped("recipes.yaml"))
    Path("dvc.yaml").write_text(shipped("graph.yaml").replace("[params.yaml, ", "[a.txt, b.txt, leaks.txt, "))
    for name in ("a", "b", "leaks"):
        Path(f"{name}.txt").write_text(f"{name}\n")
    return Project(tmp_path)


def problems(project: Project) -> list[str]:
    return list(unnoticed_files(load_params(project.params), project))


def test_a_list_that_the_graph_does_not_name_is_told(project):
    assert problems(project) == []
    project.graph.write_text(shipped("graph.yaml"))
    told = problems(project)
    for name, line in zip(("a.txt", "b.txt", "leaks.txt"), told, strict=True):
        assert f"add {name} to the deps of the stage params in" in line


def test_the_graph_of_a_project_names_its_lists_by_itself(project):
    params = load_params(project.params)
    project.graph.write_text(graph_for(params.dataset, files_read(params, project)))
    assert problems(project) == []


def test_a_list_that_the_pipeline_writes_is_refused_as_dvc_would_run_in_a_circle(project):
    (project.reports / "duplicates").mkdir(parents=True)
    (project.reports / "duplicates/leaks.txt").write_text("x\n")
    project.params.write_text(PARAMS % ", exclude: [reports/duplicates/leaks.txt]")
    (told,) = problems(project)
    assert told.endswith("is made by the pipeline, which reads it first; copy it elsewhere")


def test_the_content_of_lists_decides_the_stage_dataset_and_no_other(project):
    def decided() -> dict[str, str]:
        main()
        folder = project.resolved("dataset").parent
        return {path.stem: path.read_text() for path in folder.rglob("*.json")}

    before = decided()
    assert set(json.loads(before["dataset"])["list_sha256"]) == {"a.txt", "b.txt", "leaks.txt"}
    Path("leaks.txt").write_text("another\n")
    after = decided()
    assert {stage for stage in before if before[stage] != after[stage]} == {"dataset"}
    project.params.write_text(PARAMS % "")
    assert "list_sha256" not in json.loads(decided()["dataset"])


def test_a_list_that_is_a_folder_is_one_line(project):
    project.params.write_text(PARAMS % ", lists: {train: ., test: b.txt}")
    assert problems(project) == []
    with pytest.raises(UserError, match=r"dataset\.lists and exclude: \. cannot be read"):
        main()


def test_a_list_that_is_not_there_is_one_line(project):
    Path("b.txt").unlink()
    with pytest.raises(Exception, match=r"dataset\.lists and exclude: .*b\.txt cannot be read"):
        main()

"""The stage on a small project: every declared output, whatever is asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pool5.project import Project
from pool5.results.duplicates import DuplicatesResult
from pool5.results.record import load_record
from pool5.stages import duplicates
from tests.stages.small_project import put_graph, put_params, put_split


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).normal(size=(12, 8))
    files = [
        put_split(Project(), name, part, np.ones((len(part), 3)))
        for name, part in (("train", vectors[:8]), ("test", np.vstack([vectors[7:], vectors[-1:]])))
    ]
    for metric in ("cosine", "l2"):
        put_graph(Project(), files, metric)
    return Project()


def outcome(project: Project) -> DuplicatesResult:
    """Run the stage; the outputs that dvc.yaml declares are there."""
    duplicates.main()
    rendered = {path.name for path in project.report("duplicates").iterdir()}
    figures = {f"{name}.{kind}" for name in ("sheet", "groups") for kind in ("png", "svg")}
    assert rendered == {"duplicates.csv", "groups.csv", "leave-out.txt", "redundant.txt"} | figures
    return load_record(DuplicatesResult, project.result("duplicates"))


def test_the_pairs_within_and_between_the_splits_are_listed_and_counted(project):
    put_params(project, duplicates={"of": "net/fc", "threshold": 0.99})
    result = outcome(project)
    assert [(pair.id_a, pair.id_b) for pair in result.pairs] == [
        ("test0004", "test0005"),
        ("train0007", "test0000"),
    ]
    counted = json.loads(project.metrics("duplicates").read_text())
    assert counted.pop("groups") == {"count": 2, "largest": 2, "left_out": 1, "redundant": 0}
    assert {where: count["pairs"] for where, count in counted.items()} == {
        "within train": 0,
        "within test": 1,
        "between train and test": 1,
    }


def test_what_is_near_a_test_image_is_listed_as_dataset_exclude_reads_it(project):
    put_params(project, duplicates={"of": "net/fc", "threshold": 0.99})
    result = outcome(project)
    assert result.left_out == ("train0007",)
    assert project.report("duplicates", "leave-out.txt").read_text().splitlines() == [
        "# images of train that are near one of test",
        "# To use it, copy it beside params.yaml and name the copy in dataset.exclude.",
        "[train]",
        "train0007",
    ]


def test_the_cosine_graph_is_read_whatever_the_metric_of_the_others(project):
    put_params(project, duplicates={"of": "net/fc", "threshold": 0.99})
    expected = outcome(project)
    project.neighbors("net/fc").rename(project.neighbors("net/fc@cosine"))
    put_params(project, duplicates={"of": "net/fc", "threshold": 0.99}, index={"metric": "l2"})
    assert outcome(project) == expected


def test_no_layer_is_a_gap_and_every_output_is_there(project):
    put_params(project)
    result = outcome(project)
    assert (result.layer, result.pairs) == (None, ())
    assert result.gaps == ("duplicates.of names no layer: none were looked for",)
    assert json.loads(project.metrics("duplicates").read_text()) == {}
    assert "none were looked for" in project.report("duplicates", "sheet.svg").read_text()

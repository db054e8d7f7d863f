"""The stage on a small project: every declared output, whatever the data set can give."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.project import Project
from pool5.results.record import load_record
from pool5.results.retrieval import RetrievalResult
from pool5.stages import retrieval
from pool5.store.feature_file import FeatureFile
from tests.stages.small_project import put_graph, put_params, put_split

RENDERED = {"neighbors.csv", "retrieval.csv", "sheet.png", "sheet.svg"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project()


CLASSES = ("cat", "dog", "person")


def put(project: Project, labels: np.ndarray, classes: tuple[str, ...] = CLASSES) -> None:
    file = put_split(project, "test", np.random.default_rng(0).normal(size=(len(labels), 8)), labels, classes)
    put_graph(project, [file])
    put_params(project, neighbors={"of": ["net/fc"], "bootstrap": 20})


def outcome(project: Project) -> RetrievalResult:
    """Run the stage; the outputs that dvc.yaml declares are there."""
    retrieval.main()
    assert {path.name for path in project.report("neighbors").iterdir()} == RENDERED
    assert project.metrics("retrieval").is_file()
    return load_record(RetrievalResult, project.result("retrieval"))


def test_the_record_holds_what_the_tables_show(project):
    put(project, np.where(np.random.default_rng(1).random((30, 3)) < 0.4, 1, -1))
    result = outcome(project)
    assert len(project.report("neighbors", "retrieval.csv").read_text().splitlines()) == 1 + len(
        result.groups
    )
    assert len(project.report("neighbors", "neighbors.csv").read_text().splitlines()) == 1 + 3 * 5
    assert set(json.loads(project.metrics("retrieval").read_text())["net/fc"]) == {
        *("all", "with person", "without person"),
    }
    before = {path: path.read_bytes() for path in project.report("neighbors").iterdir()}
    assert outcome(project) == result
    assert {path: path.read_bytes() for path in project.report("neighbors").iterdir()} == before


def test_what_changed_in_another_split_measures_nothing_again(project, monkeypatch):
    put(project, np.where(np.random.default_rng(1).random((30, 3)) < 0.4, 1, -1))
    result, measured = outcome(project), []
    measure = retrieval.measure_retrieval
    monkeypatch.setattr(retrieval, "measure_retrieval", lambda *args: measured.append(1) or measure(*args))
    files = [
        FeatureFile.open(project.features("net", "test")),
        put_split(project, "train", np.random.default_rng(2).normal(size=(9, 8)), np.ones((9, 3)), CLASSES),
    ]
    put_graph(project, files)
    assert outcome(project) == result
    assert measured == []
    put(project, np.where(np.random.default_rng(3).random((30, 3)) < 0.4, 1, -1))
    assert outcome(project) != result
    assert measured == [1]


def test_without_labels_the_sheet_is_drawn(project):
    put(project, np.empty((30, 0)), ())
    assert len(outcome(project).queries) == 3
    assert json.loads(project.metrics("retrieval").read_text()) == {}


def test_one_image_leaves_a_sheet_that_says_so(project):
    put(project, np.ones((1, 3)))
    assert outcome(project).gaps
    assert "There is nothing to show." in project.report("neighbors", "sheet.svg").read_text()


def test_without_a_layer_everything_is_there_and_empty(project):
    put(project, np.ones((3, 3)))
    put_params(project)
    assert outcome(project).layers == ()


def test_a_graph_of_other_features_is_told_with_the_stage_to_run(project):
    put(project, np.ones((5, 3)))
    put_split(project, "test", np.random.default_rng(9).normal(size=(5, 8)), np.ones((5, 3)))
    with pytest.raises(UserError, match="made from other features") as caught:
        retrieval.main()
    assert caught.value.rerun == "neighbors"

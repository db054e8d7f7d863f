from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from pool5.params import Probe
from pool5.probe.kind import ProbeTask
from pool5.probe.kinds import LOGITS, WEIGHTS, make_probe
from pool5.project import Project
from pool5.results.label_issues import LabelIssuesResult
from pool5.results.record import load_record
from pool5.stages import label_issues
from tests.stages.small_project import put_graph, put_params, put_split

PROBES = {
    "linear": {"of": "net/fc", "C": [1.0, 10.0], "folds": 3},
    "near": {"of": "net/fc", "kind": "knn", "k": 7},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project()


def put(project, turned=(3, 8), graph=True, one_label=False):
    """Splits whose features show their labels, of which some are turned; the probes of both kinds."""
    rng = np.random.default_rng(0)
    files = []
    for split, count in (("train", 60), ("test", 30)):
        labels = np.where(rng.random((count, 3)) < 0.4, 1, -1)
        if one_label:
            labels = np.where(np.eye(3)[rng.integers(3, size=count)] == 1, 1, -1)
        vectors = np.hstack([labels + 0.2 * rng.normal(size=labels.shape), rng.normal(size=(count, 3))])
        for row in turned if split == "train" else ():
            labels[row] = np.roll(labels[row], 1) if one_label else labels[row] * [1, -1, 1]
        files.append(put_split(project, split, vectors, labels))
    if graph:
        put_graph(project, files)
    put_probes(project, files)
    return files


def put_probes(project, files):
    for name, settings in PROBES.items():
        kind = Probe(**{key: tuple(v) if key == "C" else v for key, v in settings.items()})
        folder = project.root / "made" / name
        folder.mkdir(parents=True, exist_ok=True)
        make_probe(ProbeTask(name, kind, *files, project.models), folder)
        project.probes.mkdir(parents=True, exist_ok=True)
        (folder / LOGITS).replace(project.probe(name))
        (folder / WEIGHTS).replace(project.probe(name).with_suffix(".safetensors"))


def outcome(project: Project, **settings) -> LabelIssuesResult:
    put_params(project, probe=PROBES, label_issues=settings)
    label_issues.main()
    return load_record(LabelIssuesResult, project.result("label_issues"))


@pytest.mark.parametrize("probe", PROBES)
def test_turned_labels_are_found_by_a_probe_of_either_kind(project, probe):
    put(project)
    (found,) = outcome(project, of=[probe]).probes
    first = {(issue.split, issue.id, issue.class_name) for issue in found.issues[:4]}
    assert first >= {("train", "train0003", "dog"), ("train", "train0008", "dog")}


def test_the_table_says_which_label_to_look_at_and_what_is_suspected(project):
    put(project)
    (found,) = outcome(project, of=["linear"]).probes
    with project.report("label_issues", "linear", "issues.csv").open() as file:
        first, *rest = csv.DictReader(file)
    assert len(rest) + 1 == len(found.issues)
    assert (first["split"], first["class"], first["path"]) == ("train", "dog", "train.png")
    assert int(first["label"]) == -int(first["suggested"]) == (1 if first["kind"] == "wrong" else -1)
    assert float(first["probability"]) == found.issues[0].probability
    assert len(first["nearest"].split("|")) == 3
    folder = project.report("label_issues", "linear")
    drawn = {path.stem for path in folder.glob("*.png")}
    assert drawn == {"reliability"} | {issue.kind for issue in found.issues}


def test_like_images_with_other_labels_come_first_and_once_for_all_probes(project):
    files = put(project)
    labels, vectors = np.array(files[0].labels), np.array(files[0].layer("fc"))
    vectors[1], labels[1] = vectors[0], -labels[0]
    files = [put_split(project, "train", vectors, labels), files[1]]
    put_graph(project, files)
    put_probes(project, files)
    found = outcome(project, of=["linear", "near"], threshold=0.9999)
    assert found.all_conflicts == len(found.conflicts) == 1
    assert (found.conflicts[0].id_a, found.conflicts[0].id_b) == ("train0000", "train0001")
    assert [each.probe for each in found.probes] == ["linear", "near"]
    with project.report("label_issues", "conflicts.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["id_a"], row["identical_bytes"]) == ("train0000", "False")


def test_nothing_is_learned_again_where_only_the_list_is_another(project, monkeypatch):
    put(project)
    before = outcome(project, of=["linear"])
    monkeypatch.setattr(label_issues, "write_held_out", lambda *_: pytest.fail("learned again"))
    after = outcome(project, of=["linear"], listed=1, least=0.0)
    assert [count.listed for count in after.probes[0].counts] == [1, 1, 1, 1]
    assert after.probes[0].calibration == before.probes[0].calibration


def test_a_missing_graph_is_a_gap_and_the_labels_are_doubted_all_the_same(project):
    put(project, graph=False)
    found = outcome(project, of=["linear"])
    assert any("neighbors by cosine are not stored" in gap for gap in found.gaps)
    assert found.probes[0].issues[0].nearest == ()


def test_no_probe_is_a_gap_and_every_output_is_there(project):
    put(project)
    found = outcome(project)
    assert (found.probes, found.gaps) == ((), ("label_issues.of names no probe",))
    assert json.loads(project.metrics("label_issues").read_text()) == {}
    assert project.report("label_issues").is_dir()


def test_the_metrics_count_what_is_in_doubt(project):
    put(project)
    found = outcome(project, of=["linear"])
    told = json.loads(project.metrics("label_issues").read_text())
    assert told["conflicts"] == found.all_conflicts
    train = told["probes"]["linear"]["train"]
    assert train["missing"] + train["wrong"] == sum(i.split == "train" for i in found.probes[0].issues)


def test_a_wrong_folder_is_told_with_the_one_that_the_image_belongs_in(project):
    files = put(project, one_label=True)
    found = outcome(project, of=["linear"], least=0.0)
    assert found.one_label
    with project.report("label_issues", "linear", "issues.csv").open() as file:
        rows = {row["id"]: row for row in list(csv.DictReader(file))[:4]}
    for row in (3, 8):
        given = int(np.argmax(files[0].labels[row]))
        told = rows[f"train{row:04d}"]
        assert (told["kind"], told["class"]) == ("wrong", files[0].classes[given])
        assert told["instead"] == files[0].classes[given - 1]

"""The stage on a small project: every declared output, whatever the data set can give."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from pool5.project import Project
from pool5.results.comparison import CompareResult
from pool5.results.record import load_record
from pool5.search.neighbor_graph import GraphSettings, write_graph
from pool5.stages import compare
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_writer import write_feature_file
from tests.stages.small_project import KEY, MODEL, put_params, put_split

LAYERS = ("fc", "wide", "other")
ALL = {f"net/{layer}" for layer in LAYERS}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project()


def put(project: Project, count: int = 40, layers: tuple[str, ...] = LAYERS, **asked: object) -> None:
    """`wide` is `fc` turned, and `other` has nothing to do with both; some labels."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0][:8]
    values = {"fc": vectors, "wide": (vectors @ turn).astype(np.float32)}
    values["other"] = rng.normal(size=(count, 5)).astype(np.float32)
    labels = np.where(rng.random((count, 3)) < 0.4, 1, -1).astype(np.int8)
    plain = put_split(project, "test", vectors, labels)
    chosen = {layer: values[layer] for layer in layers}
    write_feature_file(
        plain.path,
        **{name: getattr(plain, name) for name in ("dataset", "split", "model", "classes", "ids")},
        digests=plain.digests.copy(),
        labels=plain.labels.copy(),
        layers=chosen,
        keys=dict.fromkeys(chosen, KEY),
    )
    put_graphs(project, layers)
    model = MODEL | {"layers": dict.fromkeys(layers, "fc")}
    of = [f"net/{layer}" for layer in layers]
    put_params(
        project, models={"net": model}, compare={"of": of, "bootstrap": 50, "permutations": 3, **asked}
    )


def put_graphs(project: Project, layers: tuple[str, ...]) -> None:
    file = FeatureFile.open(project.features("net", "test"))
    for layer in layers:
        settings = GraphSettings("cosine", 30, 10**6, 1.0, 0)
        write_graph([file], layer, settings, project.neighbors(f"net/{layer}"))


def outcome(project: Project) -> CompareResult:
    """Run the stage; the outputs that dvc.yaml declares are there."""
    compare.main()
    assert project.report("compare", "compare.csv").is_file()
    assert project.metrics("compare").is_file()
    return load_record(CompareResult, project.result("compare"))


def test_a_turned_layer_is_the_same_and_another_is_not(project):
    put(project)
    result = outcome(project)
    same = {m: result.pair("net/fc", "net/wide", m).value for m in result.measures}
    assert same == pytest.approx({"CKA": 1, "RSA": 1, "overlap@10": 1, "Procrustes": 0}, abs=1e-5)
    for measure in ("CKA", "RSA", "overlap@10"):
        pair = result.pair("net/other", "net/fc", measure)
        assert abs(pair.value - pair.chance) < 4 * pair.chance_sd
        assert pair.lo < pair.value < pair.hi
    assert {pair.first for pair in result.pairs if pair.second == "labels"} == ALL
    assert {pair.measure for pair in result.pairs if pair.second == "labels"} == {"RSA"}
    closest = next(each for each in result.closest if (each.layer, each.measure) == ("net/fc", "CKA"))
    assert (closest.closest, closest.next) == ("net/wide", "net/other")
    assert closest.lo > 0
    assert [(merge.left, merge.right) for merge in result.tree] == [(0, 1), (2, 3)]
    assert result.gaps == ()


def test_tables_metrics_and_figures_say_what_the_record_says(project):
    put(project)
    result = outcome(project)
    rows = list(csv.DictReader(project.report("compare", "compare.csv").open()))
    assert [(row["first"], row["second"], row["measure"]) for row in rows] == [
        (pair.first, pair.second, pair.measure) for pair in result.pairs
    ]
    metrics = json.loads(project.metrics("compare").read_text())
    assert set(metrics["net/fc"]["net/wide"]) == set(result.measures)
    drawn = {"heatmap", "tree", *(pair.sheet for pair in result.differing)}
    assert {path.stem for path in project.report("compare").glob("*.svg")} == drawn
    assert len(result.differing) == 3


def test_the_images_that_differ_most_come_first_with_what_either_layer_finds(project):
    put(project)
    result = outcome(project)
    pair = result.differing[0]
    shared = [image.shared for image in pair.images]
    assert shared == sorted(shared)
    assert set(pair.images[0].neighbors) == {pair.first, pair.second}
    turned = next(each for each in result.differing if {each.first, each.second} == {"net/fc", "net/wide"})
    assert all(image.shared == result.k for image in turned.images)


def test_the_record_is_kept_as_a_unit_and_comes_out_the_same(project, monkeypatch):
    put(project)
    result, before = outcome(project), project.result("compare").read_bytes()
    monkeypatch.setattr(compare, "compare_layers", None)
    assert outcome(project) == result
    assert project.result("compare").read_bytes() == before
    monkeypatch.undo()
    monkeypatch.chdir(project.root.resolve())


def test_the_same_bytes_for_the_same_layers(project):
    put(project)
    outcome(project)
    before = project.result("compare").read_bytes()
    shutil.rmtree(project.unit_cache)
    outcome(project)
    assert project.result("compare").read_bytes() == before


def test_neighbors_are_found_where_no_graph_is_stored(project):
    put(project)
    stored = outcome(project)
    shutil.rmtree(project.neighbor_folders)
    found = outcome(project)
    assert [pair.value for pair in found.pairs] == [pair.value for pair in stored.pairs]


def test_few_images_and_few_neighbors_are_told(project):
    put(project, count=9)
    result = outcome(project)
    assert result.k == 7
    assert any("compare.k asks for 10" in gap for gap in result.gaps)
    assert result.pair("net/fc", "net/wide", "CKA").value == pytest.approx(1, abs=1e-5)


def test_three_images_leave_a_gap(project):
    put(project, count=3)
    result = outcome(project)
    assert (result.pairs, len(result.gaps)) == ((), 1)


def test_one_layer_is_held_against_the_labels_alone(project):
    put(project, layers=("fc",))
    result = outcome(project)
    assert [(pair.first, pair.second, pair.measure) for pair in result.pairs] == [("net/fc", "labels", "RSA")]
    assert any("names one layer" in gap for gap in result.gaps)


def test_without_a_layer_everything_is_there_and_empty(project):
    put(project)
    put_params(project)
    assert outcome(project).gaps == ("compare.of names no layer: none were compared",)

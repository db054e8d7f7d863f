"""The stage on a small store: every declared output, and no map made twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pool5.project import Project
from pool5.results.record import load_record
from pool5.results.tsne_map import TsneResult
from pool5.stages import tsne
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

PARAMS = """
dataset: {{name: toy, kind: folder, root: images, train: train, test: test}}
models:
  net:
    architecture: resnet18
    weights: random
    layers: {{a: flatten, b: flatten}}
    preprocess: {{resize: 8, crop: 8}}
tsne: {{of: [{of}], perplexity: 5, stability_seeds: 0}}
"""
RENDERED = {"map.csv", "map.png", "map.svg", "panels.png", "panels.svg"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).parents[2] / "recipes.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.format(of="net/a"))
    layers = {name: np.random.default_rng(i).normal(size=(20, 4)).astype("f4") for i, name in enumerate("ab")}
    write_feature_file(
        Project().features("net", "test"), dataset="toy", split="test", model="net", classes=("cat",),
        ids=np.array([f"{i:03}" for i in range(20)]), digests=np.zeros((20, 16), np.uint8),
        labels=np.ones((20, 1), np.int8), layers=layers,
        keys={name: FeatureKey("net", "0" * 64, name, {}, "fp32", "float32", 1) for name in "ab"},
    )  # fmt: skip
    return Project()


def test_every_layer_gets_a_record_its_figures_and_its_metrics(project):
    tsne.main()
    found = load_record(TsneResult, project.result("tsne/net/a"))
    assert {path.name for path in project.report("tsne", "net", "a").iterdir()} == RENDERED
    assert json.loads(project.metrics("tsne").read_text()) == {"net/a": found.metrics()}


def test_a_further_layer_costs_that_layer_alone(project, monkeypatch):
    tsne.main()
    before = project.result("tsne/net/a").read_bytes()
    project.params.write_text(PARAMS.format(of="net/a, net/b"))
    made = []
    real = tsne.map_layer
    monkeypatch.setattr(
        tsne, "map_layer", lambda file, layer, *s: made.append(layer) or real(file, layer, *s)
    )
    tsne.main()
    assert made == ["b"]
    assert project.result("tsne/net/a").read_bytes() == before
    assert set(json.loads(project.metrics("tsne").read_text())) == {"net/a", "net/b"}


def test_with_nothing_asked_for_every_output_is_there_and_empty(project):
    project.params.write_text(PARAMS.format(of=""))
    tsne.main()
    for folder in (project.result_folder("tsne"), project.report("tsne")):
        assert [path.name for path in folder.iterdir()] == ["nothing.txt"]
    assert json.loads(project.metrics("tsne").read_text()) == {}

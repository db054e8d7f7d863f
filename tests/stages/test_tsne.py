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
    write(np.arange(20))
    return Project()


def write(images: np.ndarray) -> None:
    """The features of some images, given by number."""
    every = {name: np.random.default_rng(i).normal(size=(99, 4)).astype("f4") for i, name in enumerate("ab")}
    write_feature_file(
        Project().features("net", "test"), dataset="toy", split="test", model="net", classes=("cat",),
        ids=np.array([f"{i:03}" for i in images]), digests=np.zeros((len(images), 16), np.uint8),
        labels=np.ones((len(images), 1), np.int8),
        layers={name: layer[images] for name, layer in every.items()},
        keys={name: FeatureKey("net", "0" * 64, name, {}, "fp32", "float32", 1) for name in "ab"},
    )  # fmt: skip


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


def test_a_kept_map_has_its_old_points_and_says_which_are_placed(project):
    project.params.write_text(PARAMS.format(of="net/a").replace("seeds: 0", "seeds: 0, keep: true"))
    tsne.main()
    made = load_record(TsneResult, project.result("tsne/net/a"))
    assert (made.kept.images, made.kept.placed) == (20, ())
    shutil.rmtree(project.result_folder("tsne"))  # as DVC does
    write(np.arange(1, 22))
    tsne.main()
    found = load_record(TsneResult, project.result("tsne/net/a"))
    assert found.points[:19] == made.points[1:]
    assert (found.kept.digest, found.kept.gone, found.kept.placed) == (made.kept.digest, 1, ("020", "021"))
    assert (found.kl, found.metrics()["placed"]) == (None, 2)
    assert found.made_of() == (made.ids[1:], made.points[1:])
    assert any(
        "2 of 21 images were placed into the map of 20, of which 1 are gone" in gap for gap in found.gaps
    )
    first = project.result("tsne/net/a").read_bytes()
    tsne.main()
    assert project.result("tsne/net/a").read_bytes() == first
    write(np.arange(5, 60))
    tsne.main()
    anew = load_record(TsneResult, project.result("tsne/net/a"))
    assert (anew.kept.images, anew.kept.placed) == (55, ())
    assert "the earlier map was not kept: 5 of the 20 images that it was made of are gone" in anew.gaps


def test_a_map_that_is_not_kept_says_nothing_of_it(project):
    tsne.main()
    assert '"kept"' not in project.result("tsne/net/a").read_text()


def test_with_nothing_asked_for_every_output_is_there_and_empty(project):
    project.params.write_text(PARAMS.format(of=""))
    tsne.main()
    for folder in (project.result_folder("tsne"), project.report("tsne")):
        assert [path.name for path in folder.iterdir()] == ["nothing.txt"]
    assert json.loads(project.metrics("tsne").read_text()) == {}

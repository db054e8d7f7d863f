"""The stage derive, and what it derives wherever a layer is asked for."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from pool5.datasets.manifest import read_manifest
from pool5.errors import UserError
from pool5.params import load_params
from pool5.project import Project
from pool5.report.provenance import read_provenance
from pool5.results.duplicates import DuplicatesResult
from pool5.results.probe import ProbeResult
from pool5.results.record import load_record
from pool5.results.retrieval import RetrievalResult
from pool5.results.tsne_map import TsneResult
from pool5.stages import derive, duplicates, index, neighbors, probe, retrieval, tsne
from pool5.stages import params as params_stage
from pool5.store.neighbor_file import NeighborFile
from pool5.store.open_layer import open_layer
from tests.stages.small_project import put_params, put_split

TURNED = {"turned": {"of": "net/fc", "steps": [{"pca": 16}]}}
SMALL = {"small": {"of": "turned/fc", "steps": ["l2", {"pca": 4}, "whiten"]}}
L2 = {"metric": "l2"}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.chdir(tmp_path)
    project, rng = Project(), np.random.default_rng(0)
    centres = rng.standard_normal((3, 16)) * 3
    for split, count in (("train", 60), ("test", 40)):
        shown = np.arange(count) % 3
        labels = np.where(np.eye(3)[shown] == 1, 1, -1)
        put_split(project, split, centres[shown] + rng.standard_normal((count, 16)) + 1, labels)
    return project


def run(project: Project, *stages, **sections: object) -> None:
    put_params(project, **sections)
    for stage in (params_stage, derive, *stages):
        stage.main()


def content(project: Project) -> dict[str, bytes]:
    return {
        str(path.relative_to(project.derived_folders)): path.read_bytes()
        for path in sorted(project.derived_folders.rglob("*"))
        if path.is_file()
    }


def test_layers_are_derived_in_the_order_of_params_and_to_the_same_bytes(project):
    run(project, derive=TURNED | SMALL)
    first = content(project)
    assert set(first) == {
        f"{n}/{f}" for n in ("turned", "small") for f in ("train.h5", "test.h5", "fit.safetensors")
    }
    for folder in (project.derived_folders, project.unit_cache):
        shutil.rmtree(folder)
    run(project, derive=TURNED | SMALL)
    assert content(project) == first
    file, layer = open_layer("small/fc", "test", load_params(project.params), project)
    assert file.layer(layer).shape == (40, 4)


def test_a_further_layer_costs_that_layer_alone(project, monkeypatch):
    made = []
    real = derive.derive_layer
    monkeypatch.setattr(derive, "derive_layer", lambda name, *rest: (made.append(name), real(name, *rest)))
    run(project, derive=TURNED)
    run(project, derive=TURNED | SMALL)
    run(project, derive=TURNED)
    assert made == ["turned", "small"]


def test_nothing_to_derive_leaves_a_folder_that_says_so(project):
    run(project)
    assert set(content(project)) == {"nothing.txt"}


def test_the_page_says_what_a_layer_is_derived_from(project):
    run(project, derive=TURNED | SMALL)
    test = read_manifest(project.manifest("test"))
    told = read_provenance(load_params(project.params), test, project)
    assert told.derived == {"turned": "net/fc", "small": "turned/fc"}
    assert str(told.features["small"].feature_key("fc").derived[-1]) == "l2, pca 4, whiten"


def test_too_many_components_stop_the_stage_in_a_line(project):
    with pytest.raises(UserError, match=r"derive.wide.steps: pca: 17 components of rows of 16 values; 16 is"):
        run(project, derive={"wide": {"of": "net/fc", "steps": [{"pca": 17}]}})


def test_a_rotation_keeps_every_neighbor(project):
    run(project, neighbors, derive=TURNED, index=L2, neighbors={"of": ["net/fc", "turned/fc"], "depth": 10})
    graphs = [NeighborFile.open(project.neighbors(name)) for name in ("net/fc", "turned/fc")]
    for asking, found in (("test", "test"), ("test", "train"), ("train", "train")):
        rows, distances = zip(*(graph.nearest(asking, found) for graph in graphs), strict=True)
        np.testing.assert_array_equal(rows[0], rows[1])
        np.testing.assert_allclose(distances[0], distances[1], rtol=1e-3, atol=1e-3)


def test_every_stage_takes_a_derived_layer_where_it_takes_a_layer(project):
    of = ["small/fc", "net/fc"]
    run(
        project, neighbors, index, retrieval, duplicates, tsne, probe,
        derive=TURNED | SMALL,
        neighbors={"of": of, "depth": 10, "bootstrap": 20},
        index={"of": of, "queries": 10},
        duplicates={"of": "small/fc", "threshold": 0.99},
        tsne={"of": ["small/fc"], "perplexity": 5, "stability_seeds": 0},
        probe={"p": {"of": "small/fc", "C": [1.0], "folds": 2}, "q": {"of": "turned/fc", "kind": "knn"}},
        ap={"of": ["p", "q"]},
    )  # fmt: skip
    assert project.index("small/fc").is_file()
    assert set(json.loads(project.metrics("index").read_text())) == set(of)
    found = load_record(RetrievalResult, project.result("retrieval"))
    assert set(found.layers) == set(of)
    assert load_record(DuplicatesResult, project.result("duplicates")).layer == "small/fc"
    assert load_record(TsneResult, project.result("tsne/small/fc")).layer == "small/fc"
    assert [p.of for p in load_record(ProbeResult, project.result("probe")).probes] == [
        "small/fc",
        "turned/fc",
    ]

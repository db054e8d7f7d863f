"""The stage neighbors: a graph for every layer that is asked about, and each made once."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.search.exact import ExactSearch
from pool5.stages import neighbors
from pool5.store.neighbor_file import NeighborFile
from tests.stages.layer_project import random_features, run_stage, write_layers, write_project

TRAIN, TEST = random_features(150), random_features(60, seed=1)


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The layers of which a graph was computed."""
    layers, write = [], neighbors.write_graph

    def counted(files, layer, settings, *rest):
        layers.append(f"{layer} {settings.metric}")
        write(files, layer, settings, *rest)

    monkeypatch.setattr(neighbors, "write_graph", counted)
    return layers


def test_a_layer_that_several_stages_ask_about_has_one_graph_of_what_exact_search_finds(
    tmp_path, monkeypatch, made
):
    sections = {
        "neighbors": {"of": ["net/fc7"], "depth": 7},
        "tsne": {"of": ["net/fc7", "net/pool5"]},
        "duplicates": {"of": "net/fc7"},
    }
    project = write_project(tmp_path, train=TRAIN, test=TEST, **sections)
    run_stage(neighbors.main, project, monkeypatch)
    assert made == ["fc7 cosine", "pool5 cosine"]
    graph = NeighborFile.open(project.neighbors("net/fc7"))
    assert (graph.splits, graph.depth, graph.engine) == (("train", "test"), 7, "exact")
    search = ExactSearch(TEST, "cosine")
    for asking, vectors, own in (("test", search.vectors, np.arange(60)), ("train", TRAIN, None)):
        distances, rows = search.search(vectors, 7, exclude=own)
        np.testing.assert_array_equal(graph.nearest(asking, "test")[0], rows)
        np.testing.assert_array_equal(graph.nearest(asking, "test")[1], distances)


def test_duplicates_have_a_graph_by_the_cosine_beside_that_of_another_metric(tmp_path, monkeypatch):
    sections = {"index": {"metric": "l2"}, "duplicates": {"of": "net/fc7"}}
    project = write_project(tmp_path, train=TRAIN, test=TEST, **sections)
    run_stage(neighbors.main, project, monkeypatch)
    for name, metric in (("net/fc7", "l2"), ("net/fc7@cosine", "cosine")):
        assert NeighborFile.open(project.neighbors(name)).metric == metric


def test_a_further_layer_or_new_features_cost_no_more_than_that_graph(tmp_path, monkeypatch, made):
    write = {"train": TRAIN, "test": TEST}
    project = write_project(tmp_path, **write, neighbors={"of": ["net/fc7"]})
    run_stage(neighbors.main, project, monkeypatch)
    first = project.neighbors("net/fc7").read_bytes()
    write_project(tmp_path, **write, neighbors={"of": ["net/fc7", "net/pool5"], "exact_up_to": 150})
    run_stage(neighbors.main, project, monkeypatch)
    assert made == ["fc7 cosine", "pool5 cosine"]
    assert project.neighbors("net/fc7").read_bytes() == first
    write_layers(project, "test", TEST[:59])
    run_stage(neighbors.main, project, monkeypatch)
    assert made[2:] == ["fc7 cosine", "pool5 cosine"]


def test_a_new_image_is_asked_for_alone_and_the_graph_is_that_of_a_clean_cache(tmp_path, monkeypatch):
    project = write_project(tmp_path, train=TRAIN, test=TEST, neighbors={"of": ["net/fc7"], "depth": 7})
    run_stage(neighbors.main, project, monkeypatch)
    write_layers(project, "test", np.insert(TEST, 20, random_features(1, seed=2), axis=0))
    asked, search = [], ExactSearch.search

    def counted(self, queries, *args, **how):
        asked.append(len(queries))
        return search(self, queries, *args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(ExactSearch, "search", counted)
        run_stage(neighbors.main, project, monkeypatch)
    assert max(asked) < 10
    updated = project.neighbors("net/fc7").read_bytes()
    shutil.rmtree(project.unit_cache)
    run_stage(neighbors.main, project, monkeypatch)
    assert project.neighbors("net/fc7").read_bytes() == updated


def test_a_split_of_one_image_has_neighbors_in_the_other_only(tmp_path, monkeypatch):
    project = write_project(tmp_path, train=TRAIN, test=TEST[:1], neighbors={"of": ["net/fc7"]})
    run_stage(neighbors.main, project, monkeypatch)
    graph = NeighborFile.open(project.neighbors("net/fc7"))
    shapes = {names: graph.nearest(*names)[0].shape for names in (("test", "test"), ("test", "train"))}
    assert shapes == {("test", "test"): (1, 0), ("test", "train"): (1, 100)}
    assert graph.nearest("train", "test")[0].tolist() == [[0]] * 150


def test_where_nothing_is_asked_the_folder_is_there_and_empty(tmp_path, monkeypatch):
    project = write_project(tmp_path, train=TRAIN, test=TEST)
    run_stage(neighbors.main, project, monkeypatch)
    assert [path.name for path in project.neighbor_folders.iterdir()] == ["nothing.txt"]


def test_a_value_that_is_not_finite_names_layer_and_row(tmp_path, monkeypatch):
    broken = TEST.copy()
    broken[17, 3] = np.nan
    project = write_project(tmp_path, train=TRAIN, test=broken, neighbors={"of": ["net/fc7"]})
    with pytest.raises(UserError, match=r"net/fc7: .*not finite"):
        run_stage(neighbors.main, project, monkeypatch)
    assert not project.neighbors("net/fc7").exists()

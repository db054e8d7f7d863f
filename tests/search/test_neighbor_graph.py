"""The neighbor graph: exact by default, through an index beyond a size."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pool5.search.neighbor_graph import GraphSettings, decides_graph, write_graph
from pool5.store.feature_file import FeatureFile
from pool5.store.neighbor_file import NeighborFile

SETTINGS = GraphSettings(metric="cosine", depth=20, exact_up_to=1000, memory_gb=1.0, seed=0)


@pytest.fixture
def graph_of(write_features, tmp_path):
    def make(rows: dict[str, int], settings: GraphSettings = SETTINGS) -> NeighborFile:
        files = [
            FeatureFile.open(write_features(name, count, seed))
            for seed, (name, count) in enumerate(rows.items())
        ]
        write_graph(files, "fc7", settings, tmp_path / "fc7.h5")
        return NeighborFile.open(tmp_path / "fc7.h5")

    return make


def test_duplicates_come_first_and_the_row_itself_not_at_all(graph_of):
    graph = graph_of({"train": 300, "test": 250})
    rows, distances = graph.nearest("train", "train")
    assert rows.shape == (300, 20)
    assert rows[200, :2].tolist() == [3, 7]
    assert distances[200, :2].tolist() == [0, 0]
    assert not (rows == np.arange(300)[:, None]).any()
    assert graph.nearest("train", "test")[0].shape == (300, 20)


def test_a_large_split_is_searched_through_an_index_whose_recall_is_told(graph_of, monkeypatch):
    exact = graph_of({"train": 1500, "test": 300}, dataclasses.replace(SETTINGS, exact_up_to=1500))
    within, across = exact.nearest("train", "train"), exact.nearest("test", "train")
    monkeypatch.setattr("pool5.search.factory._EXACT_VALUES", 0)
    monkeypatch.setattr("pool5.search.neighbor_graph._QUERIES_AT_ONCE", 400)
    graph = graph_of({"train": 1500, "test": 300})
    assert (graph.split("train").engine, graph.split("test").engine) == ("IVF32,Flat", "exact")
    assert graph.recall is not None
    assert graph.recall >= 0.95
    assert (graph.nearest("train", "train")[0] == within[0]).mean() > 0.9
    assert (graph.nearest("test", "train")[1] >= across[1]).all()


def test_fewer_rows_than_the_depth_give_all_there_are(graph_of):
    graph = graph_of({"train": 300, "test": 205}, dataclasses.replace(SETTINGS, depth=250))
    assert graph.nearest("train", "test")[0].shape == (300, 205)
    assert graph.nearest("test", "test")[0].shape == (205, 204)


def test_a_limit_that_changes_no_search_decides_nothing(write_features):
    files = [FeatureFile.open(write_features())]
    decided = decides_graph(files, "fc7", SETTINGS)
    assert (
        decides_graph(files, "fc7", dataclasses.replace(SETTINGS, exact_up_to=300, memory_gb=2.0)) == decided
    )
    through = decides_graph(files, "fc7", dataclasses.replace(SETTINGS, exact_up_to=299))
    assert through != decided
    assert through["memory_gb"] == 1.0
    assert decides_graph(files, "half", SETTINGS) != decided

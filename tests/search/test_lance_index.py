"""Lance indexes: the candidates that FAISS would give, the same on each build, and of some classes alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.params import Index
from pool5.search import Searcher
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index
from pool5.search.faiss_search import IndexSearch
from pool5.search.index_card import read_card, verify_index
from pool5.search.lance_index import LanceSearch, _trained, build_lance, open_index
from pool5.search.layer_index import index_layer, index_name
from pool5.search.quality import sweep
from pool5.store import lance_table
from pool5.store.feature_file import FeatureFile

pytest.importorskip("lance", reason="pylance is not installed: there are no Lance indexes")
from lance import LanceDataset

FACTORIES = ["Flat", "IVF8,Flat", "IVF8,PQ6"]


@pytest.fixture
def features(write_features) -> FeatureFile:
    return FeatureFile.open(write_features(rows=1200))


def build(
    features: FeatureFile, folder: Path, factory: str, metric: str = "l2", layer: str = "fc7"
) -> LanceSearch:
    return build_lance(features, layer, factory, metric, folder, seed=0)[0]


def saved(features: FeatureFile, folder: Path, layer: str = "fc7", **settings) -> Path:
    """An index as the stage saves it; its path."""
    folder.mkdir(parents=True)
    asked = Index(of=(f"net/{layer}",), engine="lance", factory="IVF8,PQ6", queries=20, **settings)
    index_layer(features, layer, asked, folder).save(folder)
    return folder / index_name("lance")


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("layer", ["fc7", "half"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_an_index_at_its_widest_setting_finds_what_exact_search_finds(
    features, tmp_path, factory, layer, metric
):
    search = build(features, tmp_path / "x.lance", factory, metric, layer)
    own = np.arange(0, 1200, 40)
    points = sweep(search, np.asarray(features.layer(layer)[own]), own)
    assert max(point.recall["10"] for point in points) > 0.97
    assert len(points) == {"Flat": 1, "IVF8,Flat": 4, "IVF8,PQ6": 16}[factory]


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_candidates_and_the_comparisons_are_those_of_faiss(features, tmp_path, factory):
    search = build(features, tmp_path / "x.lance", factory)
    index, _ = build_index(features.layer("fc7"), factory, "l2", seed=0)
    own = np.arange(0, 1200, 40)
    queries = np.asarray(features.layer("fc7")[own])
    for ours, theirs in zip(
        sweep(search, queries, own), sweep(IndexSearch(index, search.exact), queries, own), strict=True
    ):
        assert (ours.setting, ours.compared) == (theirs.setting, theirs.compared)
        assert ours.recall == pytest.approx(theirs.recall, abs=0.01)


def test_lance_does_not_look_for_the_nearest_centre_in_a_graph(features, tmp_path, monkeypatch):
    """It would with many lists, and find .80 of the neighbors among a million where FAISS finds .97."""
    name = "LANCE_USE_HNSW_SPEEDUP_INDEXING"
    monkeypatch.setenv(name, "auto")
    told, create = [], LanceDataset.create_index

    def create_index(self, *args, **kwargs):
        told.append(os.environ[name])
        return create(self, *args, **kwargs)

    monkeypatch.setattr(LanceDataset, "create_index", create_index)
    build(features, tmp_path / "x.lance", "IVF8,PQ6")
    assert (told, os.environ[name]) == (["disabled"], "auto")


def test_a_second_build_finds_the_same_to_the_bit(features, tmp_path):
    queries = np.asarray(features.layer("fc7")[:50])
    found = []
    for name in ("a", "b"):
        search = build(features, tmp_path / name, "IVF8,PQ6", "cosine")
        search.apply({"nprobe": 2, "shortlist": 1})
        found.append(search.search(queries, 10))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_rows_stand_in_their_places_whatever_fragment_they_are_in(features, tmp_path, monkeypatch):
    monkeypatch.setattr(lance_table, "_FRAGMENT_ROWS", 500)
    search = build(features, tmp_path / "x.lance", "IVF8,Flat")
    assert len(search.table.get_fragments()) == 3
    search.apply({"nprobe": 8})
    queries = np.asarray(features.layer("fc7"))[[0, 499, 500, 1199]]
    np.testing.assert_array_equal(search.search(queries, 5), search.exact.search(queries, 5))


def test_lists_too_short_for_k_are_made_up_for(features, tmp_path):
    search = build(features, tmp_path / "x.lance", "IVF30,Flat")
    queries, own = np.asarray(features.layer("fc7")[:4]), np.arange(4)
    found = search.search(queries, 900, exclude=own)
    np.testing.assert_array_equal(found, search.exact.search(queries, 900, exclude=own))


def test_a_vector_of_zeros_is_no_trouble(write_features, tmp_path):
    features = FeatureFile.open(write_features(rows=400, zeros=[5]))
    search = build(features, tmp_path / "x.lance", "IVF8,Flat", "cosine")
    search.apply({"nprobe": 8})
    queries = np.asarray(features.layer("fc7")[[3, 5]])
    assert np.isfinite(search.search(queries, 10)[0]).all()
    np.testing.assert_array_equal(search.search(queries, 10)[1][0], search.exact.search(queries, 10)[1][0])


def test_classes_are_looked_for_by_lance_and_all_that_is_found_shows_one(features, tmp_path, monkeypatch):
    path = saved(features, tmp_path / "x", metric="cosine")
    through = Searcher(features, "fc7", index=path)
    exact = Searcher(features, "fc7")
    expected = exact.query("000009", 5, ["cat", "dog"])
    monkeypatch.setattr(ExactSearch, "search", None)  # nothing is scanned
    found = through.query("000009", 5, ["cat", "dog"])
    assert all({"cat", "dog"} & set(near.labels) for near in found)
    assert len({near.id for near in found} & {near.id for near in expected}) >= 4
    assert found[0] == expected[0]
    some = through.query(np.asarray(features.layer("fc7")[9:10]), 5, ["cat"], without=[found[0].id])[0]
    assert found[0].id not in {near.id for near in some}


def test_a_class_that_is_rare_is_found_beyond_the_lists_that_are_looked_into(write_features, tmp_path):
    features = FeatureFile.open(write_features(rows=1200, rare=6))
    search = build(features, tmp_path / "x.lance", "IVF30,Flat")
    search.apply({"nprobe": 1})
    allowed = features.labels[:, 0] == 1
    assert allowed.sum() == 6
    queries = np.asarray(features.layer("fc7")[:3])
    found = search.shortlist(queries, 4, ["cat"])
    assert allowed[found[:, :4]].all()
    answer = search.search(queries, 6, allowed=allowed, classes=["cat"])
    np.testing.assert_array_equal(answer, search.exact.search(queries, 6, allowed=allowed))


def test_the_stages_index_is_opened_by_the_same_searcher_and_its_card_says_what_it_is(features, tmp_path):
    path = saved(features, tmp_path / "x", metric="l2")
    card = json.loads(path.with_suffix(".json").read_text())
    assert (card["factory"], card["metric"], card["lance"]) == (
        "IVF8,PQ6",
        "l2",
        lance_table.lance_module().__version__,
    )
    assert card["training_rows"] > 0
    assert verify_index(path) == []
    through = Searcher(features, "fc7", "l2", index=path).query("000003", 5)
    assert [near.id for near in through[:2]] == ["000007", "000200"]
    assert read_card(path).search.keys() == {"nprobe", "shortlist"}
    moved = tmp_path / "elsewhere.lance"
    shutil.copytree(path, moved)
    shutil.copy(path.with_suffix(".json"), moved.with_suffix(".json"))
    assert Searcher(features, "fc7", "l2", index=moved).query("000003", 5) == through


def test_a_damaged_missing_or_foreign_index_is_one_line(features, write_features, tmp_path):
    path = saved(features, tmp_path / "x")
    exact = ExactSearch(features.layer("fc7"), "cosine")
    other = FeatureFile.open(write_features("other", rows=1200, seed=1))
    with pytest.raises(UserError, match="built from other values"):
        open_index(path, other, "fc7", ExactSearch(other.layer("fc7"), "cosine"))
    with pytest.raises(UserError, match="built from another metric"):
        open_index(path, features, "fc7", ExactSearch(features.layer("fc7"), "l2"))
    index = next(path.rglob("auxiliary.idx"))
    whole = index.read_bytes()
    index.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (told,) = verify_index(path)
    assert "damaged: other bytes" in told
    index.write_bytes(whole[:-10])
    with pytest.raises(UserError, match=r"damaged: .* bytes, not"):
        open_index(path, features, "fc7", exact)
    shutil.rmtree(path)
    with pytest.raises(UserError, match="no such index"):
        open_index(path, features, "fc7", exact)


@pytest.mark.parametrize("factory", ["HNSW16", "IVF0,Flat", "OPQ8,IVF8,PQ6", "IVF8,PQ6x4"])
def test_a_factory_that_is_not_in_lance_is_one_line(features, tmp_path, factory):
    with pytest.raises(UserError, match=f"index.factory: {factory} is not in Lance; take Flat") as error:
        build(features, tmp_path / "x.lance", factory)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "x.lance").exists()


@pytest.mark.slow
def test_through_ray_an_index_of_several_segments_finds_the_same(features, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "200")  # of a machine that is busy
    ray = pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setattr(lance_table, "_FRAGMENT_ROWS", 500)
    here = build(features, tmp_path / "here.lance", "IVF8,PQ6")
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    try:
        monkeypatch.setenv("RAY_ADDRESS", "auto")
        there = build(features, tmp_path / "there.lance", "IVF8,PQ6")
    finally:
        ray.shutdown()
    assert [len(index.segments) for index in there.table.describe_indices() if "PQ" in index.index_type] == [
        2
    ]
    queries = np.asarray(features.layer("fc7")[:50])
    for search in (here, there):
        search.apply({"nprobe": 2, "shortlist": 1})
    np.testing.assert_array_equal(here.search(queries, 10), there.search(queries, 10))


def test_no_list_swallows_the_clusters_that_have_no_centre_of_their_own():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 128))[rng.integers(0, 200, 4000)]
    vectors = (vectors + 0.3 * rng.standard_normal(vectors.shape)).astype(np.float32)
    told, _ = _trained(vectors, "IVF64,Flat", "cosine", 0, None)
    lengths = np.linalg.norm(told["ivf_centroids"], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = (unit @ told["ivf_centroids"].T).argmax(axis=1)
    assert np.bincount(nearest, minlength=64).max() < 4000 / 8

"""FAISS indexes: the same bytes twice, readable by FAISS alone, refused with other features."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from pool5.errors import UserError
from pool5.search import Searcher
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index, open_index, training_sample
from pool5.search.faiss_search import IndexSearch
from pool5.search.index_card import check_file, describe, read_card, verify_index, write_card
from pool5.search.quality import sweep
from pool5.store.feature_file import FeatureFile

FACTORIES = ["Flat", "IVF8,Flat", "IVF8,PQ6x4", "HNSW8", "IVF8,PQ6x4,RFlat", "PCA8,Flat", "SQ8"]


def save(features: FeatureFile, layer: str, path: Path, factory: str = "Flat", metric: str = "cosine"):
    index, trained = build_index(features.layer(layer), factory, metric, seed=0)
    card = describe(
        features,
        layer,
        metric,
        factory=factory,
        reason="",
        seed=0,
        training_rows=trained,
        search={},
        faiss=faiss.__version__,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    faiss.write_index(index, str(path))
    return write_card(path, card)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_an_index_at_its_widest_setting_finds_what_exact_search_finds(write_features, factory, metric):
    vectors = FeatureFile.open(write_features()).layer("half")
    index, _ = build_index(vectors, factory, metric, seed=0)
    exact = ExactSearch(vectors, metric)
    own = np.arange(0, 300, 7)
    points = sweep(IndexSearch(index, exact), np.asarray(vectors[own]), own)
    assert max(point.recall["10"] for point in points) > 0.97
    assert max(point.recall["1"] for point in points) > 0.95


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_second_build_gives_the_same_bytes(write_features, tmp_path, factory):
    features = FeatureFile.open(write_features(rows=2000))
    for name in ("a", "b"):
        save(features, "fc7", tmp_path / f"{name}.faiss", factory)
    for suffix in (".faiss", ".json"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_plain_faiss_reads_the_index_and_the_card_says_what_it_is(write_features, tmp_path):
    features = FeatureFile.open(write_features())
    save(features, "half", tmp_path / "half.faiss", "IVF8,Flat")
    index = faiss.read_index(str(tmp_path / "half.faiss"))
    assert (index.ntotal, index.d) == (300, 24)
    index.nprobe = 8
    vectors = features.layer("half").astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(index.search(unit[:5], 1)[0][:, 0], 1, atol=1e-5)
    card = json.loads((tmp_path / "half.json").read_text())
    assert card["feature_key"] == features.key_digest("half")
    assert card["ids_digest"] == features.ids_digest
    assert (card["factory"], card["metric"], card["normalized"]) == ("IVF8,Flat", "cosine", True)
    assert card["faiss"] == faiss.__version__
    assert card["training_rows"] == 300


def test_through_an_index_distances_stay_exact_and_the_query_stays_out(write_features, tmp_path):
    path = write_features()
    save(FeatureFile.open(path), "fc7", tmp_path / "fc7.faiss", "HNSW16", "l2")
    through = Searcher.open(path, "fc7", "l2", tmp_path / "fc7.faiss").query("000003", 5)
    assert through == Searcher.open(path, "fc7", "l2").query("000003", 5)
    assert [near.id for near in through[:2]] == ["000007", "000200"]


def test_lists_too_short_for_k_are_made_up_for(write_features):
    vectors = FeatureFile.open(write_features()).layer("fc7")
    index, _ = build_index(vectors, "IVF30,Flat", "l2", seed=0)
    exact = ExactSearch(vectors, "l2")
    queries, own = np.asarray(vectors[:4]), np.arange(4)
    found = IndexSearch(index, exact).search(queries, 250, exclude=own)
    np.testing.assert_array_equal(found, exact.search(queries, 250, exclude=own))


@pytest.mark.parametrize(
    ("other", "layer", "metric", "message"),
    [
        ({"seed": 1}, "fc7", "cosine", "built from other values"),
        ({"rows": 299}, "fc7", "cosine", "built from other images"),
        ({}, "half", "cosine", "built from other features"),
        ({}, "fc7", "l2", "built from another metric"),
    ],
)
def test_an_index_of_something_else_is_refused(write_features, tmp_path, other, layer, metric, message):
    save(FeatureFile.open(write_features()), "fc7", tmp_path / "fc7.faiss")
    features = FeatureFile.open(write_features("other", **other))
    with pytest.raises(UserError, match=message) as error:
        open_index(tmp_path / "fc7.faiss", features, layer, ExactSearch(features.layer(layer), metric))
    assert "\n" not in str(error.value)


def test_a_damaged_or_missing_index_is_one_line(write_features, tmp_path):
    features = FeatureFile.open(write_features())
    exact = ExactSearch(features.layer("fc7"), "cosine")
    path = tmp_path / "fc7.faiss"
    with pytest.raises(UserError, match=r"fc7\.json: no such file"):
        open_index(path, features, "fc7", exact)
    save(features, "fc7", path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="bytes, not"):
        open_index(path, features, "fc7", exact)
    path.write_bytes(b"x" * len(whole))
    with pytest.raises(UserError, match="damaged: other bytes"):
        open_index(path, features, "fc7", exact)
    path.unlink()
    with pytest.raises(UserError, match="no such index"):
        open_index(path, features, "fc7", exact)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(UserError, match="not the card of an index"):
        open_index(path, features, "fc7", exact)


@pytest.mark.parametrize("suffix", [".faiss", ".json"])
@pytest.mark.parametrize("factory", ["Flat", "IVF8,PQ6x4", "HNSW8"])
def test_no_damage_of_an_index_or_its_card_gives_other_neighbors_or_ends_the_process(
    write_features, tmp_path, factory, suffix
):
    features = FeatureFile.open(write_features())
    path = tmp_path / "fc7.faiss"
    card = save(features, "fc7", path, factory)
    damaged = path.with_suffix(suffix)
    whole, rng = damaged.read_bytes(), np.random.default_rng(0)
    assert verify_index(path) == []
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        damaged.write_bytes(data)
        if verify_index(path):
            with pytest.raises(UserError) as error:
                check_file(path, read_card(path))
            assert (error.value.rerun, error.value.force) == ("index", True)
        else:  # the bytes drawn were those that were there, or blanks of the JSON's layout
            assert bytes(data) == whole or (suffix == ".json" and read_card(path) == card)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Foo", "builds no Foo"),
        ("IVF8,PQ7", "multiple of"),
        ("IVF400,Flat", "400 centroids .* only 300"),
        ("HNSW0", "a number in it is 0"),  # FAISS itself would end the process
        ("IVF0,Flat", "a number in it is 0"),
        ("IDMap,Flat", "add does not make sense"),
    ],
)
def test_a_factory_that_cannot_be_built_is_one_line(write_features, factory, message):
    vectors = FeatureFile.open(write_features()).layer("fc7")
    with pytest.raises(UserError, match=message) as error:
        build_index(vectors, factory, "l2", seed=0)
    assert "\n" not in str(error.value)


def test_the_training_sample_is_random_seeded_and_without_the_held_out():
    held_out = np.arange(0, 200_000, 1000)
    sample = training_sample(200_000, 8, "IVF64,Flat", 0, held_out)
    assert len(sample) == 256 * 64
    assert not np.isin(sample, held_out).any()
    assert 0.45 < (sample < 100_000).mean() < 0.55
    np.testing.assert_array_equal(sample, training_sample(200_000, 8, "IVF64,Flat", 0, held_out))
    assert not np.array_equal(sample, training_sample(200_000, 8, "IVF64,Flat", 1, held_out))

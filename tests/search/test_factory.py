"""The choice that `factory: auto` makes."""

from __future__ import annotations

import faiss
import pytest

from pool5.errors import UserError
from pool5.search.factory import centroid_count, choose_factory


@pytest.mark.parametrize(
    ("rows", "width", "memory", "factory"),
    [
        (4952, 6400, 4e9, "Flat"),
        (600, 1280, 4e9, "Flat"),
        (1_000_000, 512, 4e9, "IVF2048,Flat"),
        (1_000_000, 512, 0.25e9, "IVF2048,PQ64"),
        (1_000_000, 512, 0.05e9, "IVF2048,PQ32"),
        (100_000_000, 512, 4e9, "IVF32768,PQ16"),
        (4952, 6400, 0.05e9, "IVF64,PQ800"),
    ],
)
def test_auto_is_exact_while_that_is_quick_then_whole_vectors_then_codes(rows, width, memory, factory):
    choice = choose_factory(rows, width, memory)
    assert choice.factory == factory
    assert f"{rows} x {width}" in choice.reason
    faiss.index_factory(width, choice.factory)


def test_a_budget_that_holds_nothing_is_one_line():
    with pytest.raises(UserError, match=r"index\.memory_gb: .* give at least"):
        choose_factory(100_000_000, 512, 1e8)


@pytest.mark.parametrize(
    ("factory", "centroids"),
    [
        ("Flat", 0),
        ("HNSW32", 0),
        ("IVF64,Flat", 64),
        ("IVF64,PQ16", 256),
        ("IVF64,PQ16x4fs,RFlat", 64),
        ("OPQ16,IVF4096_HNSW32,PQ16", 4096),
        ("IMI2x10,PQ8", 1024),
    ],
)
def test_the_largest_codebook_is_read_from_the_factory(factory, centroids):
    assert centroid_count(factory) == centroids

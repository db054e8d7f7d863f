"""Exact search with candidates from a GPU: whatever that is like, the bytes are those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.search import gpu as gpus
from pool5.search.exact import ExactSearch
from pool5.search.neighbor_graph import GraphSettings, write_graph
from pool5.store.feature_file import FeatureFile

from .conftest import clustered
from .fake_gpu import FakeGpu

METRICS = ["cosine", "l2", "ip"]


def assert_same(ours, expected):
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(mine, other)


def near_copies(seed: int, rows: int, width: int, many: int, apart: float) -> np.ndarray:
    """Clustered points, some of them equal, and so many that lie close around one."""
    random = np.random.default_rng(seed)
    vectors = clustered(seed, rows, width)
    vectors[[rows // 5, rows // 2]] = vectors[3]
    around = vectors[5] + apart * random.standard_normal((many, width), np.float32)
    vectors[random.permutation(rows)[:many]] = around
    return vectors


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from([np.float32, np.float16]),
    k=st.integers(1, 40),
    memory=st.integers(1 << 10, 1 << 20),
    told=st.integers(1 << 10, 1 << 24),
    many=st.sampled_from([0, 30, 300]),
    apart=st.sampled_from([0.0, 1e-6, 1e-3]),
)
def test_whatever_memory_a_gpu_has_or_says_the_neighbors_are_those_of_the_cpu(
    seed, metric, dtype, k, memory, told, many, apart
):
    vectors = near_copies(seed, 700, 24, many, apart).astype(dtype)
    own = np.where(np.arange(700) % 3, np.arange(700), -1)
    gpu, search = FakeGpu(memory, told), ExactSearch(vectors, metric)
    ours = search.search_on(gpu, search.vectors, k, own)
    assert_same(ours, ExactSearch(vectors, metric).search(vectors[:], k, exclude=own))
    assert gpu.used == 0


@pytest.mark.parametrize("metric", METRICS)
def test_where_a_gpu_has_room_it_finds_all_and_the_cpu_searches_nothing(metric, monkeypatch):
    vectors = clustered(0, 1500, 24)
    expected = ExactSearch(vectors, metric).search(vectors[:], 7)
    monkeypatch.setattr(ExactSearch, "_compare", None)
    gpu, search = FakeGpu(1 << 24), ExactSearch(vectors, metric)
    assert_same(search.search_on(gpu, search.vectors, 7, np.full(1500, -1)), expected)
    assert gpu.made <= 2


def test_blocks_that_do_not_fit_are_halved_and_that_is_told_once(caplog):
    vectors = clustered(0, 4000, 24)
    gpu, search = FakeGpu(200_000, told=1 << 30), ExactSearch(vectors, "l2")
    for _ in range(2):
        ours = search.search_on(gpu, vectors[:100], 5, np.full(100, -1))
        assert_same(ours, ExactSearch(vectors, "l2").search(vectors[:100], 5))
    assert gpu.room.bytes < 400_000
    assert [record.message for record in caplog.records] == [
        "FAISS has not enough memory on the GPU and goes on in smaller blocks"
    ]


def test_where_not_even_the_smallest_block_fits_the_cpu_does_it_and_that_is_told(caplog):
    vectors = clustered(0, 4000, 24)
    gpu, search = FakeGpu(1000, told=1 << 30), ExactSearch(vectors, "cosine")
    ours = search.search_on(gpu, vectors[:100], 5, np.full(100, -1))
    assert_same(ours, ExactSearch(vectors, "cosine").search(vectors[:100], 5))
    assert caplog.records[-1].message == "FAISS leaves the nearest rows to the CPU"
    assert len(caplog.records) == 2


def test_a_gpu_that_fails_otherwise_is_told_of_and_left_alone(caplog):
    vectors = clustered(0, 1000, 24)
    gpu, search = FakeGpu(1 << 24, broken="Error at /x.cu:7: an illegal access"), ExactSearch(vectors, "ip")
    ours = search.search_on(gpu, vectors[:100], 5, np.full(100, -1))
    assert_same(ours, ExactSearch(vectors, "ip").search(vectors[:100], 5))
    assert "an illegal access" in caplog.records[0].message
    assert gpu.room.bytes == 0


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_more_ties_than_a_gpu_returns_are_searched_on_the_cpu(metric):
    vectors = clustered(1, 1000, 24)
    vectors[200:800] = vectors[5]
    own = np.array([5, 999])
    search = ExactSearch(vectors, metric)
    _, rows = ours = search.search_on(FakeGpu(1 << 24), vectors[own], 4, own)
    assert rows[0].tolist() == [200, 201, 202, 203]
    assert_same(ours, search.search(vectors[own], 4, exclude=own))


@pytest.mark.parametrize("whose", ["queries", "vectors"])
def test_a_value_that_is_not_finite_is_refused_before_a_gpu_sees_it(whose):
    vectors, queries = clustered(1, 1000, 24), clustered(2, 30, 24)
    {"queries": queries, "vectors": vectors}[whose][7, 3] = np.inf
    gpu = FakeGpu(1 << 24)
    with pytest.raises(UserError, match="not finite"):
        ExactSearch(vectors, "cosine").search_on(gpu, queries, 4, np.full(30, -1))
    assert gpu.made == 0


def graph_bytes(files, layer, metric, path) -> bytes:
    write_graph(files, layer, GraphSettings(metric, 12, 10_000, 1.0, 0), path)
    return path.read_bytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("layer", ["fc7", "half"])
def test_a_graph_made_with_a_gpu_is_byte_for_byte_that_of_the_cpu(
    write_features, tmp_path, metric, layer, monkeypatch
):
    files = [FeatureFile.open(write_features(name, 300 + seed, seed)) for seed, name in enumerate("ab")]
    expected = graph_bytes(files, layer, metric, tmp_path / "cpu.h5")
    monkeypatch.setattr(gpus, "WORK", 0)
    for memory in 1000, 30_000, 1 << 24:
        gpu = FakeGpu(memory, told=1 << 24)
        monkeypatch.setattr(gpus, "found_gpu", lambda gpu=gpu: gpu)
        assert graph_bytes(files, layer, metric, tmp_path / f"{memory}.h5") == expected
        assert gpu.made


@pytest.mark.gpu
@pytest.mark.parametrize("metric", METRICS)
def test_on_cuda_all_pairs_are_byte_for_byte_those_of_the_cpu(metric, cuda):
    vectors = near_copies(2, 5000, 64, many=300, apart=1e-4)
    own = np.arange(5000)
    search = ExactSearch(vectors, metric)
    ours = search.search_on(cuda, search.vectors, 20, own)
    assert cuda.room.bytes
    assert_same(ours, ExactSearch(vectors, metric).search(vectors[:], 20, exclude=own))


@pytest.mark.gpu
@pytest.mark.parametrize("metric", METRICS)
def test_on_cuda_a_graph_is_byte_for_byte_that_of_the_cpu(
    write_features, tmp_path, metric, monkeypatch, cuda
):
    files = [FeatureFile.open(write_features(name, 3000, seed)) for seed, name in enumerate("ab")]
    expected = graph_bytes(files, "fc7", metric, tmp_path / "cpu.h5")
    monkeypatch.setattr(gpus, "WORK", 0)
    assert graph_bytes(files, "fc7", metric, tmp_path / "gpu.h5") == expected
    assert cuda.room.bytes


@pytest.mark.gpu
def test_on_cuda_a_block_that_does_not_fit_is_halved(caplog, cuda):
    torch = pytest.importorskip("torch")
    vectors = clustered(3, 300_000, 512)  # 614 MB
    expected = ExactSearch(vectors, "l2").search(vectors[:200], 10)
    ExactSearch(vectors, "l2").search_on(cuda, vectors[:200], 10, np.full(200, -1))  # its kernels are there
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(free - (1500 << 20), dtype=torch.uint8, device="cuda")  # less than FAISS takes itself
    try:
        gpu = gpus.FaissGpu(free)  # it believes that all is there still
        ours = ExactSearch(vectors, "l2").search_on(gpu, vectors[:200], 10, np.full(200, -1))
    finally:
        del taken
        torch.cuda.empty_cache()
    assert_same(ours, expected)
    assert 0 < gpu.room.bytes < free
    assert "smaller blocks" in caplog.text

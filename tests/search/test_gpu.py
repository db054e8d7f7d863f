"""Whether FAISS has a GPU, which is tried in a child, and indexes that are trained there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import faiss
import msgspec
import numpy as np
import pytest

from pool5.params import Index
from pool5.search import gpu as gpus
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index, training_gpu
from pool5.search.faiss_search import IndexSearch, to_gpu
from pool5.search.gpu import Room, gpu_for, gpu_or_cpu, lacks_memory
from pool5.search.layer_index import decides_index, index_layer
from pool5.search.quality import recall_at
from pool5.store.feature_file import FeatureFile

from .conftest import clustered
from .fake_gpu import OUT_OF_MEMORY, FakeGpu

FACTORIES = ["IVF16,Flat", "IVF16,PQ8", "IVF16,PQ8x4"]

HALF_A_DRIVER = "int cudaGetDeviceCount(int *count) { *count = 0; return %d; }"
BUILD = """
import logging
logging.basicConfig(format="%(message)s")
import numpy as np
from pool5.search import gpu
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index, training_gpu
gpu.WORK = 0
vectors = np.eye(64, dtype="float32")
for _ in range(2):
    chosen = training_gpu((64, 64), "IVF2,Flat")
    built = build_index(vectors, "IVF2,Flat", "l2", seed=0, gpu=chosen)[0]
    nearest = ExactSearch(vectors, "l2").search(vectors, 1)[1]
print(built.ntotal, len(nearest))
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("error", [3, 804, 999])
def test_where_cuda_is_half_there_the_cpu_does_it_all_and_that_is_told_once(tmp_path, error):
    # not initialised, forward compatibility, unknown: FAISS ends the process that asks
    (tmp_path / "half.c").write_text(HALF_A_DRIVER % error)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "half.so", "half.c"], cwd=tmp_path, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "half.so")}
    asked = [sys.executable, "-c", BUILD]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "64 64\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"FAISS cannot use CUDA here and works on the CPU (CUDA error {error}")


def test_a_gpu_is_looked_for_by_large_work_alone_and_once(monkeypatch):
    asked = []

    def none(*command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

    monkeypatch.setattr(gpus.subprocess, "run", none)
    gpus._tried.cache_clear()
    try:
        assert gpu_for(gpus.WORK - 1) is None
        assert not asked
        assert gpu_for(gpus.WORK) is gpu_for(2 * gpus.WORK) is None
        assert len(asked) == 1
    finally:
        gpus._tried.cache_clear()


def test_only_an_inverted_file_that_is_dear_to_train_asks_for_a_gpu(monkeypatch):
    gpu = FakeGpu(1 << 30)
    monkeypatch.setattr(gpus, "found_gpu", lambda: gpu)
    assert training_gpu((1_000_000, 512), "IVF4096,PQ64") is gpu
    assert training_gpu((1_000_000, 512), "HNSW32") is None
    assert training_gpu((1_000_000, 512), "Flat") is None
    assert training_gpu((5000, 512), "IVF64,Flat") is None


def test_lack_of_memory_is_told_from_other_failures():
    assert lacks_memory(RuntimeError(OUT_OF_MEMORY.format(9)))
    assert lacks_memory(RuntimeError("CUDA memory allocation error"))
    assert not lacks_memory(RuntimeError("Error: 'dim == d' failed"))
    room = Room(100)
    room.halve(RuntimeError(OUT_OF_MEMORY.format(9)))
    assert room.bytes == 50
    room.halve(RuntimeError("Error: 'dim == d' failed"))
    assert room.bytes == 0


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_an_index_trained_through_a_gpu_of_the_same_arithmetic_has_the_same_bytes(factory, metric):
    vectors = clustered(0, 2000, 24)
    gpu = FakeGpu(1 << 24)
    built, trained_on = build_index(vectors, factory, metric, seed=0, gpu=gpu)
    expected, rows = build_index(vectors, factory, metric, seed=0)
    assert trained_on == rows
    assert gpu.made >= 2
    np.testing.assert_array_equal(faiss.serialize_index(built), faiss.serialize_index(expected))


def test_where_training_does_not_fit_on_the_gpu_the_cpu_begins_again_and_that_is_told(caplog):
    vectors = clustered(0, 2000, 24)
    gpu = FakeGpu(100)  # too little for the centroids
    expected = build_index(vectors, "IVF16,Flat", "l2", seed=0)[0]
    (built, _), used = gpu_or_cpu(
        gpu, lambda gpu: build_index(vectors, "IVF16,Flat", "l2", seed=0, gpu=gpu), "the index IVF16,Flat"
    )
    assert used is None
    assert caplog.records[-1].message == "FAISS leaves the index IVF16,Flat to the CPU"
    np.testing.assert_array_equal(faiss.serialize_index(built), faiss.serialize_index(expected))


@pytest.mark.parametrize("engine", ["faiss", "lance"])
def test_key_and_card_of_an_index_tell_that_it_was_trained_on_a_gpu_and_only_then(
    write_features, tmp_path, monkeypatch, engine
):
    if engine == "lance":
        pytest.importorskip("lance")
    features = FeatureFile.open(write_features())
    asked = Index(of=("net/fc7",), factory="IVF4,Flat", queries=20, engine=engine)
    for folder in "cpu", "gpu", "full":
        (tmp_path / folder).mkdir()
    plain, key = index_layer(features, "fc7", asked, tmp_path / "cpu"), decides_index(features, "fc7", asked)
    monkeypatch.setattr(gpus, "WORK", 0)
    monkeypatch.setattr(gpus, "found_gpu", lambda: FakeGpu(1 << 24))
    assert decides_index(features, "fc7", asked) == key | {"trained_on": "fake"}
    assert index_layer(features, "fc7", asked, tmp_path / "gpu").card.trained_on == "fake"
    monkeypatch.setattr(gpus, "found_gpu", lambda: FakeGpu(1 << 24, broken=OUT_OF_MEMORY))
    alone = index_layer(features, "fc7", asked, tmp_path / "full")
    assert alone.card == plain.card
    assert b"trained_on" not in msgspec.json.encode(plain.card)


def test_a_copy_that_does_not_fit_on_the_gpu_is_not_measured(write_features, tmp_path, monkeypatch):
    features = FeatureFile.open(write_features())
    built = index_layer(features, "fc7", Index(of=("net/fc7",), queries=20), tmp_path)
    for memory, measured in (1 << 24, {"exact", "index", "index on the GPU"}), (100, {"exact", "index"}):
        monkeypatch.setattr(gpus, "found_gpu", lambda memory=memory: FakeGpu(memory))
        monkeypatch.setattr("pool5.search.faiss_search.found_gpu", gpus.found_gpu)
        assert built.latencies().keys() == measured


@pytest.mark.gpu
def test_on_cuda_the_gpu_is_found_with_its_free_memory(cuda):
    assert cuda.room.bytes > 1 << 28
    assert cuda.room.bytes != gpus._GUESS


@pytest.mark.gpu
@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("factory", ["Flat", "IVF64,Flat", "IVF64,PQ16"])
def test_on_cuda_an_index_finds_as_much_as_on_the_cpu(factory, metric, cuda):
    vectors = clustered(4, 20_000, 64)
    exact, queries, own = ExactSearch(vectors, metric), vectors[:200], np.arange(200)
    setting = (
        {"nprobe": 16, "shortlist": 4} if "PQ" in factory else {"nprobe": 16} if "IVF" in factory else {}
    )
    on_cpu = IndexSearch(build_index(vectors, factory, metric, seed=0)[0], exact, setting)
    copy = to_gpu(on_cpu.index)
    assert copy is not None
    truth = exact.search(queries, 10, exclude=own)[0]
    ours = IndexSearch(copy, exact, setting).search(queries, 10, exclude=own)[0]
    expected = on_cpu.search(queries, 10, exclude=own)[0]
    assert recall_at(ours, truth) == pytest.approx(recall_at(expected, truth), abs=0.005)
    assert (ours == expected).mean() > 0.98


@pytest.mark.gpu
@pytest.mark.parametrize("factory", ["IVF256,Flat", "IVF256,PQ16"])
def test_on_cuda_training_twice_gives_the_same_bytes_and_as_good_an_index(factory, cuda):
    vectors = clustered(5, 60_000, 64)
    first, second = (build_index(vectors, factory, "cosine", seed=0, gpu=cuda)[0] for _ in range(2))
    np.testing.assert_array_equal(faiss.serialize_index(first), faiss.serialize_index(second))
    exact, queries, own = ExactSearch(vectors, "cosine"), vectors[:300], np.arange(300)
    truth = exact.search(queries, 10, exclude=own)[0]
    on_cpu = build_index(vectors, factory, "cosine", seed=0)[0]
    recalls = []
    for index in (first, on_cpu):
        search = IndexSearch(index, exact, {"nprobe": 16, "shortlist": 4})
        recalls.append(recall_at(search.search(queries, 10, exclude=own)[0], truth))
    assert recalls[0] == pytest.approx(recalls[1], abs=0.02)

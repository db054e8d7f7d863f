"""Candidates from FAISS's nearest-neighbor kernel, on a device and, with the same arithmetic, without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial

import faiss
import numpy as np
import pytest

from pool5.search import gpu_shortlist
from pool5.search.exact import ExactSearch

from .conftest import clustered


def knn_on_cpu(queries, vectors, k, metric):
    return faiss.knn(queries, vectors, k, metric)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_candidates_from_faiss_block_by_block_give_what_exact_search_gives(metric, dtype):
    vectors = clustered(0, 1500, 24).astype(dtype)
    vectors[[300, 900]] = vectors[3]
    own = np.arange(1500)
    shortlist = partial(gpu_shortlist.shortlist, knn=knn_on_cpu, block_bytes=4 * 24 * 400)
    search = ExactSearch(vectors, metric)
    ours = search._search_on_device(search.vectors, 7, own, shortlist)
    expected = ExactSearch(vectors, metric).search(vectors[:], 7, exclude=own)
    np.testing.assert_array_equal(ours[0], expected[0])
    np.testing.assert_array_equal(ours[1], expected[1])


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_more_ties_than_a_device_returns_are_searched_on_the_cpu(metric):
    vectors = clustered(1, 1000, 24)
    vectors[200:800] = vectors[5]
    own = np.array([5, 999])
    shortlist = partial(gpu_shortlist.shortlist, knn=knn_on_cpu)
    search = ExactSearch(vectors, metric)
    _, rows = search._search_on_device(vectors[own], 4, own, shortlist)
    assert rows[0].tolist() == [200, 201, 202, 203]
    np.testing.assert_array_equal(rows, search.search(vectors[own], 4, exclude=own)[1])


HALF_A_DRIVER = "int cudaGetDeviceCount(int *count) { *count = 0; return %d; }"
BUILD = """
import logging
logging.basicConfig(format="%(message)s")
import numpy as np
from pool5.search.faiss_index import build_index
print(build_index(np.eye(64, dtype="float32"), "IVF2,Flat", "l2", seed=0)[0].ntotal)
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("error", [3, 804, 999])
def test_where_cuda_is_half_there_an_index_is_built_on_the_cpu_and_that_is_told_once(tmp_path, error):
    # not initialised, forward compatibility, unknown: FAISS ends the process that asks
    (tmp_path / "half.c").write_text(HALF_A_DRIVER % error)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "half.so", "half.c"], cwd=tmp_path, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "half.so")}
    asked = [sys.executable, "-c", BUILD]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "64\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"FAISS cannot use CUDA here and works on the CPU (CUDA error {error}")


@pytest.mark.gpu
@pytest.mark.skipif(not faiss.get_num_gpus(), reason="needs a CUDA device")
@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_on_a_device_exact_search_gives_what_it_gives_on_the_cpu(metric):
    vectors = clustered(2, 20_000, 256)
    own = np.arange(20_000)
    search = ExactSearch(vectors, metric)
    ours = search._search_on_device(search.vectors, 10, own, gpu_shortlist.shortlist)
    expected = search.search(search.vectors, 10, exclude=own)
    np.testing.assert_array_equal(ours[0], expected[0])
    np.testing.assert_array_equal(ours[1], expected[1])

"""A million vectors: what building IVF-PQ costs, and what it then finds.

Usage: python -m benchmarks.million [ROWS]

The vectors have the structure of features: 2000 clusters of uneven size in 512 values, with 48 directions of
decreasing variance inside a cluster. They are stored as float16 and read from a memory map. The queries come
from the same clusters but are not among the vectors.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

from benchmarks.contest import peak_megabytes
from pool5.search.exact import ExactSearch
from pool5.search.factory import choose_factory
from pool5.search.faiss_index import build_index
from pool5.search.faiss_search import IndexSearch
from pool5.search.quality import measure_latency, pareto_front, recommended, sweep

WIDTH = 512
CLUSTERS = 2000
DIRECTIONS = 48
QUERIES = 300
BUDGET = 0.25e9  # bytes: the vectors as float16 are four times this
BLOCK = 20_000


def main(rows: str = "1000000") -> None:
    count = int(rows)
    with tempfile.TemporaryDirectory() as folder:
        vectors = write_vectors(Path(folder, "vectors.bin"), count)
        queries = draw(np.random.default_rng(2), *structure(), QUERIES)

        choice = choose_factory(count, WIDTH, BUDGET)
        print(f"{choice.factory}: {choice.reason}", flush=True)
        before = peak_megabytes()
        start = time.perf_counter()
        index, trained_on = build_index(vectors, choice.factory, "cosine", seed=0)
        seconds = time.perf_counter() - start
        peak = peak_megabytes()
        index_bytes = faiss.serialize_index(index).nbytes
        size = f"{index_bytes / 1e9:.2f} GB, {index_bytes / count:.1f} bytes a vector"
        print(f"built in {seconds:.0f} s from a sample of {trained_on}: {size}")
        print(f"resident at most {peak:.0f} MiB ({before:.0f} before)", flush=True)

        exact = ExactSearch(vectors, "cosine")
        search = IndexSearch(index, exact)
        start = time.perf_counter()
        points = sweep(search, queries, np.full(len(queries), -1))
        chosen = recommended(points)
        print(f"swept {len(points)} settings in {time.perf_counter() - start:.0f} s; on the front:")
        for point in pareto_front(points):
            recall = "  ".join(f"@{depth} {value:.3f}" for depth, value in point.recall.items())
            mark = "  <- recommended" if point == chosen else ""
            print(f"  {point.name:<26} recall {recall}  compared {point.compared:9.0f}{mark}")
        search.apply(chosen.setting)
        through = measure_latency(lambda q: search.search(q, 10), queries)
        scan = measure_latency(lambda q: exact.search(q, 10), queries, singles=3)
        print(f"index {through.single:.2f} ms for one query, {through.in_batch:.2f} in a batch of {QUERIES}")
        print(f"exact {scan.single:.0f} ms for one query, {scan.in_batch:.2f} in a batch of {QUERIES}")


def structure() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The centres, the directions inside a cluster, and how likely each cluster is."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, WIDTH), dtype=np.float32)
    scale = 6 / np.sqrt(1 + np.arange(DIRECTIONS, dtype=np.float32))
    directions = np.linalg.qr(rng.standard_normal((WIDTH, DIRECTIONS)))[0].T.astype(np.float32)
    weights = rng.pareto(2.0, CLUSTERS) + 0.2
    return centres, scale[:, None] * directions, weights / weights.sum()


def draw(
    rng: np.random.Generator, centres: np.ndarray, directions: np.ndarray, weights: np.ndarray, count: int
) -> np.ndarray:
    inside = rng.standard_normal((count, DIRECTIONS), dtype=np.float32) @ directions
    return centres[rng.choice(len(centres), count, p=weights)] + inside


def write_vectors(path: Path, count: int) -> np.ndarray:
    parts = structure()
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        for start in range(0, count, BLOCK):
            draw(rng, *parts, min(BLOCK, count - start)).astype(np.float16).tofile(file)
    return np.memmap(path, np.float16, "r", shape=(count, WIDTH))


if __name__ == "__main__":
    main(*sys.argv[1:])

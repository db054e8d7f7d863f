"""Approximate neighbors: what an index and the graphs of others find of the exact ones, and in what time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.contest import Peer, Row, contest, timed
from benchmarks.neighbors import clustered, faiss_normalized
from benchmarks.peer_environment import PeerProcess
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index
from pool5.search.faiss_search import IndexSearch
from pool5.search.quality import query_rows, recall_at, recommended, sweep

_K = 10
_FACTORY = "IVF512,Flat"  # of 60,000 rows; `auto` would not leave exact search for so few


def approximate_rows(scratch: Path, count: int, width: int, asked: int, runs: int) -> list[Row]:
    """Queries that are not in the database, at the setting that the quality report would recommend."""
    folder = scratch / "approximate"
    folder.mkdir()
    vectors = clustered(count + asked, width)
    database, queries = vectors[:count], vectors[count:]
    exact = ExactSearch(database, "cosine")
    began = time.perf_counter()
    index, _ = build_index(database, _FACTORY, "cosine", seed=0)
    built = time.perf_counter() - began
    search = IndexSearch(index, exact)
    others = query_rows(count, 200, seed=0)  # the setting is not chosen on the queries that are timed
    chosen = recommended(sweep(search, database[others], others))
    search.apply(chosen.setting)
    np.save(folder / "database.npy", faiss_normalized(database))
    np.save(folder / "queries.npy", faiss_normalized(queries))
    normal, unit = np.load(folder / "database.npy", "r"), np.load(folder / "queries.npy")
    truth = exact.search(queries, _K)[0]

    def recall(rows: np.ndarray) -> float:
        found = np.einsum("nd,nkd->nk", unit[: len(rows)], normal[rows])
        return recall_at((1 - found).astype(np.float32), truth + np.float32(1e-6))

    def told(ours: np.ndarray, theirs: np.ndarray) -> str:
        return f"recall@{_K} {recall(ours):.3f}, the peer's {recall(theirs):.3f}"

    def saved(path: Path) -> Callable[[np.ndarray, dict], str]:
        return lambda ours, answer: told(ours, np.load(path))

    peers = [Peer("Pool5, exact", "", timed(lambda: exact.search(queries, _K)[1]), told)]
    files = {"database": str(folder / "database.npy"), "queries": str(folder / "queries.npy"), "k": _K}
    with contextlib.ExitStack() as processes:
        for name, program in (("hnswlib, M 16, ef 100", "hnsw_index"), ("usearch, ef 100", "usearch_index")):
            out = folder / f"{program}.npy"
            process = PeerProcess(program, **files, ef=100, out=str(out))
            processes.callback(process.stop)
            run = None if process.missing else process.run
            note = f"built beforehand, in {process.prepared:.0f} s; Pool5's index in {built:.0f} s"
            peers.append(Peer(name, process.version, run, saved(out), process.missing, note))
        return contest(
            "neighbors, approximate",
            f"{count} x {width}, cosine, k = {_K}; {asked} queries at once that are not among them",
            f"Pool5, {_FACTORY}, {chosen.name}",
            timed(lambda: search.search(queries, _K)[1]),
            peers,
            runs,
            warm_up=True,
        )

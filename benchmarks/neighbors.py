"""Nearest neighbors, all pairs and single queries: beside exact peers and the product's rate."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
from sklearn.neighbors import NearestNeighbors

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from benchmarks.peer_environment import PeerProcess
from benchmarks.storage import synthetic_features
from pool5.search import Searcher
from pool5.search.exact import ExactSearch
from pool5.store.feature_file import FeatureFile

_K = 10


def clustered(count: int, width: int, seed: int = 0) -> np.ndarray:
    """Vectors as a network gives them: clusters of all sizes, values that are not negative."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((200, 32), np.float32) * 1.5
    mixing = random.standard_normal((32, width), np.float32)
    vectors = np.empty((count, width), np.float32)
    for start in range(0, count, 20_000):
        stop = min(start + 20_000, count)
        inner = centres[random.integers(200, size=stop - start)]
        inner = inner + random.standard_normal(inner.shape, np.float32)
        vectors[start:stop] = np.maximum(inner @ mixing, 0)
    return vectors


def same_neighbors(
    vectors: np.ndarray, asked: np.ndarray, metric: Literal["cosine", "l2"] = "cosine"
) -> Callable[[np.ndarray, np.ndarray], str]:
    """A check that two (n, k) tables of rows name the same neighbors, up to ties in distance.

    Peers return the query itself as well, which is dropped by its row.
    """

    def check(ours: np.ndarray, theirs: np.ndarray) -> str:
        some = asked[:200]
        mine, other = ours[:200], without_self(theirs[:200], some)
        a = vectors[some].astype(np.float64)

        def far(rows: np.ndarray) -> np.ndarray:
            b = vectors[rows].astype(np.float64)
            if metric == "l2":
                return np.linalg.norm(a[:, None] - b, axis=2)
            dots = np.einsum("nd,nkd->nk", a, b)
            return 1 - dots / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=2)

        kth = far(mine)[:, -1:]
        recall = float((far(other) <= kth + 1e-6 * np.maximum(kth, 1)).mean())
        return f"recall {recall:.3f} of the exact neighbors, ties counted ({len(mine)} queries compared)"

    return check


def without_self(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Drop each query from its own k + 1 neighbors."""
    own = rows == asked[:, None]
    own[~own.any(axis=1), -1] = True
    return rows[~own].reshape(len(rows), -1)


def _exact(check: Callable[[np.ndarray, np.ndarray], str]) -> Callable[[np.ndarray, np.ndarray], str]:
    """For a peer that is exact too, anything below full recall is other work."""

    def strict(ours: np.ndarray, theirs: np.ndarray) -> str:
        told = check(ours, theirs)
        return told if told.startswith("recall 1.000") else f"{DIFFERENT}{told}"

    return strict


def neighbor_rows(scratch: Path, count: int, width: int, batch: int = 0, runs: int = 3) -> list[Row]:
    """All pairs (or `batch` queries at once) and single queries among `count` vectors."""
    folder = scratch / f"neighbors-{count}"
    folder.mkdir()
    synthetic_features(folder / "test.h5", clustered(count, width))
    features = FeatureFile.open(folder / "test.h5")
    rows = [*_batch_rows(folder, features.layer("fc7"), batch, runs), *_single_rows(features, runs)]
    shutil.rmtree(folder)
    return rows


def euclidean_rows(count: int, width: int, runs: int) -> list[Row]:
    """All pairs by Euclidean distance, the default of scikit-learn's NearestNeighbors."""
    vectors, asked = clustered(count, width), np.arange(count)
    check = _exact(same_neighbors(vectors, asked, "l2"))

    def pool5() -> np.ndarray:
        search = ExactSearch(vectors, "l2")
        return search.search(search.vectors, _K, exclude=asked)[1]

    def sklearn() -> np.ndarray:
        return NearestNeighbors(n_neighbors=_K + 1).fit(vectors).kneighbors(vectors, return_distance=False)

    def flat() -> np.ndarray:
        return faiss.knn(vectors, vectors, _K + 1, metric=faiss.METRIC_L2)[1]

    peers = [
        Peer("FAISS Flat", version("faiss-gpu"), timed(flat), check),
        Peer("scikit-learn NearestNeighbors, defaults", version("scikit-learn"), timed(sklearn), check),
    ]
    given = f"{count} x {width}, Euclidean, k = {_K}"
    return contest("neighbors, all pairs", given, "Pool5, exact", timed(pool5), peers, runs)


def _batch_rows(folder: Path, vectors: np.ndarray, batch: int, runs: int) -> list[Row]:
    count, width = vectors.shape
    asked = (
        np.arange(count)
        if not batch
        else np.sort(np.random.default_rng(1).choice(count, batch, replace=False))
    )
    queries = vectors if not batch else np.array(vectors[asked])
    unit = faiss_normalized(vectors)
    np.save(folder / "database.npy", unit)
    np.save(folder / "queries.npy", unit[asked])
    check = same_neighbors(vectors, asked)

    def pool5() -> np.ndarray:
        search = ExactSearch(vectors, "cosine")
        return search.search(search.vectors if not batch else queries, _K, exclude=asked)[1]

    def sklearn() -> np.ndarray:
        model = NearestNeighbors(n_neighbors=_K + 1, metric="cosine", algorithm="brute").fit(vectors)
        return model.kneighbors(queries, return_distance=False)

    def flat() -> np.ndarray:
        normal = faiss_normalized(vectors)
        return faiss.knn(normal[asked], normal, _K + 1, metric=faiss.METRIC_INNER_PRODUCT)[1]

    def product() -> None:
        for start in range(0, len(asked), 1024):
            block = np.asarray(queries[start : start + 1024])
            for first in range(0, count, 16384):
                block @ vectors[first : first + 16384].T

    peers = [
        Peer(
            "matrix product alone (limit)",
            f"NumPy {np.__version__}",
            timed(product),
            lambda ours, theirs: "every pair's product once; nothing is ranked",
            note="all pairs need only half of the products, which Pool5 uses" if not batch else "",
        ),
        Peer("FAISS Flat", version("faiss-gpu"), timed(flat), _exact(check)),
    ]
    if count * len(asked) * width < 3e12:
        peers.append(
            Peer("scikit-learn NearestNeighbors", version("scikit-learn"), timed(sklearn), _exact(check))
        )
    with contextlib.ExitStack() as processes:
        peers.append(_usearch(folder, processes, _exact(check), count * len(asked) * width < 3e12))
        return contest(
            "neighbors, all pairs" if not batch else f"neighbors, {batch} queries at once",
            f"{count} x {width}, cosine, k = {_K}",
            "Pool5, exact",
            timed(pool5),
            peers,
            runs,
        )


def _usearch(
    folder: Path,
    processes: contextlib.ExitStack,
    check: Callable[[np.ndarray, np.ndarray], str],
    in_time: bool,
) -> Peer:
    name, out = "usearch, exact", folder / "usearch.npy"
    if not in_time:
        return Peer(name, "", None, missing="takes longer than this run may")
    files = {"database": str(folder / "database.npy"), "queries": str(folder / "queries.npy"), "k": _K + 1}
    process = PeerProcess("usearch_index", **files, exact=True, out=str(out))
    processes.callback(process.stop)
    run = None if process.missing else process.run
    return Peer(name, process.version, run, lambda ours, answer: check(ours, np.load(out)), process.missing)


def faiss_normalized(vectors: np.ndarray) -> np.ndarray:
    """A copy with rows of length 1."""
    normal = np.array(vectors)
    faiss.normalize_L2(normal)
    return normal


def _single_rows(features: FeatureFile, runs: int) -> list[Row]:
    vectors = features.layer("fc7")
    count, width = vectors.shape
    asked = np.sort(np.random.default_rng(2).choice(count, 10, replace=False))
    ids = features.ids[asked].tolist()
    searcher = Searcher(features, "fc7", "cosine")
    model = NearestNeighbors(n_neighbors=_K + 1, metric="cosine", algorithm="brute").fit(vectors)
    normal = faiss_normalized(vectors)
    flat = faiss.IndexFlatIP(width)
    flat.add(normal)
    check = _exact(same_neighbors(vectors, asked))

    def pool5() -> np.ndarray:
        return np.array([features.rows([n.id for n in searcher.query(name, _K)]) for name in ids])

    def sklearn() -> np.ndarray:
        found = [model.kneighbors(vectors[row : row + 1], return_distance=False)[0] for row in asked]
        return np.array(found)

    def faiss_flat() -> np.ndarray:
        return np.array([flat.search(normal[row : row + 1], _K + 1)[1][0] for row in asked])

    def product() -> None:
        for row in asked:
            vectors @ vectors[row]

    peers = [
        Peer(
            "product with every vector alone (limit)",
            f"NumPy {np.__version__}",
            timed(product),
            lambda ours, theirs: "every vector is read and multiplied once; nothing is ranked",
            note="Pool5 also finds the query by its id, and measures the nearest in float64",
        ),
        Peer("scikit-learn NearestNeighbors", version("scikit-learn"), timed(sklearn), check),
        Peer(
            "FAISS Flat",
            version("faiss-gpu"),
            timed(faiss_flat),
            check,
            note="on a normalised copy in memory",
        ),
    ]
    given = f"{count} x {width}, cosine, k = {_K}; 10 queries by id, one after the other"
    return contest(
        "neighbors, single queries", given, "Pool5, exact", timed(pool5), peers, max(runs, 3), True
    )

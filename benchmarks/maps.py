"""t-SNE beside the defaults of scikit-learn and openTSNE."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import openTSNE
from sklearn.manifold import TSNE

from benchmarks.contest import Peer, Row, contest, timed
from benchmarks.neighbors import clustered
from pool5.analysis.map_trust import measure_trust
from pool5.analysis.tsne import make_map


def map_rows(count: int, width: int, runs: int) -> list[Row]:
    """A map of `count` vectors, beside the same made by the defaults of the two libraries."""
    vectors = clustered(count, width)
    peers = [
        Peer(
            "scikit-learn TSNE, defaults",
            version("scikit-learn"),
            timed(lambda: TSNE(random_state=0).fit_transform(vectors)),
            _same_map(vectors),
        ),
        Peer(
            "openTSNE TSNE, defaults",
            version("openTSNE"),
            timed(lambda: np.array(openTSNE.TSNE(random_state=0, n_jobs=-1).fit(vectors))),
            _same_map(vectors),
        ),
    ]
    given = f"{count} x {width}, perplexity 30"
    return contest("t-SNE", given, "Pool5", timed(lambda: make_map(vectors).points), peers, runs)


def _same_map(vectors: np.ndarray) -> Callable[[np.ndarray, np.ndarray], str]:
    nothing = np.full((len(vectors), 1), -1, np.int8)

    def trust(points: np.ndarray) -> str:
        found = measure_trust(vectors, nothing, ["none"], points.astype(np.float64))
        return f"{found.trustworthiness:.3f} and {found.knn_preservation:.3f}"

    def check(ours: np.ndarray, theirs: np.ndarray) -> str:
        return f"trustworthiness and kNN preservation {trust(ours)}, the peer's {trust(theirs)}"

    return check

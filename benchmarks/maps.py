"""Maps beside what their libraries give when they are simply called."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import openTSNE
from sklearn.manifold import TSNE

from benchmarks.contest import Peer, Row, contest, timed
from benchmarks.neighbors import clustered
from pool5.analysis.maps.methods import METHODS
from pool5.analysis.maps.trust import measure_trust
from pool5.analysis.maps.tsne import make_map
from pool5.params import Maps


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


def further_map_rows(count: int, width: int, runs: int) -> list[Row]:
    """UMAP and PaCMAP of `count` vectors, beside a plain call of the library with the same seed."""
    vectors = clustered(count, width)
    rows = []
    for name, call in (("umap", _umap), ("pacmap", _pacmap)):
        method = METHODS[name]
        package = method.packages[0]
        try:
            peer = Peer(
                package, version(package), timed(functools.partial(call, vectors)), _same_map(vectors)
            )
        except PackageNotFoundError:
            print(f"{method.title}: {package} is not installed; {method.install}", file=sys.stderr)
            continue
        decided = method.decided_by(Maps(), count)
        ours = timed(lambda m=method, d=decided: m.lay_out(vectors, d, 0, "informed").points)
        # the first turn compiles
        rows += contest(method.title, f"{count} x {width}", "Pool5", ours, [peer], runs, warm_up=True)
    return rows


def _umap(vectors: np.ndarray) -> np.ndarray:
    from umap import UMAP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed means one thread
        return UMAP(random_state=0).fit_transform(vectors)


def _pacmap(vectors: np.ndarray) -> np.ndarray:
    from pacmap import PaCMAP

    return PaCMAP(random_state=0).fit_transform(vectors)


def _same_map(vectors: np.ndarray) -> Callable[[np.ndarray, np.ndarray], str]:
    nothing = np.full((len(vectors), 1), -1, np.int8)

    def trust(points: np.ndarray) -> str:
        found = measure_trust(vectors, nothing, ["none"], points.astype(np.float64))
        return f"{found.trustworthiness:.3f} and {found.knn_preservation:.3f}"

    def check(ours: np.ndarray, theirs: np.ndarray) -> str:
        return f"trustworthiness and kNN preservation {trust(ours)}, the peer's {trust(theirs)}"

    return check

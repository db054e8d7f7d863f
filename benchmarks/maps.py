"""t-SNE beside the defaults of scikit-learn and openTSNE."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import openTSNE
from sklearn.manifold import TSNE

from benchmarks.contest import Peer, Row, contest, timed
from benchmarks.neighbours import clustered
from pipeline.analysis.tsne import TsneMap, make_map, measure_trust


def map_rows(sizes: tuple[tuple[int, int, tuple[str, ...], int], ...]) -> list[Row]:
    """Rows for each size: (images, width, peers, runs)."""
    rows = []
    for count, width, names, runs in sizes:
        vectors = clustered(count, width)
        check = _same_map(vectors)

        def sklearn(vectors: np.ndarray = vectors) -> np.ndarray:
            return TSNE(random_state=0).fit_transform(vectors)

        def opentsne(vectors: np.ndarray = vectors) -> np.ndarray:
            return np.array(openTSNE.TSNE(random_state=0, n_jobs=-1).fit(vectors))

        works: dict[str, Callable[[], np.ndarray]] = {"scikit-learn": sklearn, "openTSNE": opentsne}
        peers = [
            Peer(
                f"{name} TSNE, defaults",
                version(name),
                timed(work) if name in names else None,
                check,
                "takes longer than this run may",
            )
            for name, work in works.items()
        ]
        ours = timed(lambda vectors=vectors: make_map(vectors).points)
        rows += contest("t-SNE", f"{count} x {width}, perplexity 30", "Pool5", ours, peers, runs)
    return rows


def _same_map(vectors: np.ndarray) -> Callable[[np.ndarray, np.ndarray], str]:
    nothing = np.full((len(vectors), 1), -1, np.int8)

    def trust(points: np.ndarray) -> str:
        found = measure_trust(vectors, nothing, TsneMap(points.astype(np.float64), 0.0))
        return f"{found.trustworthiness:.3f} and {found.knn_preservation:.3f}"

    def check(ours: np.ndarray, theirs: np.ndarray) -> str:
        return f"trustworthiness and kNN preservation {trust(ours)}, the peer's {trust(theirs)}"

    return check

"""AP with bootstrap intervals beside a loop over scikit-learn's function."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from pool5.measures.average_precision import resampled_average_precision
from pool5.measures.bootstrap import bootstrap_counts

_IMAGES, _CLASSES, _RESAMPLES = 4952, 20, 1000
_LOOPED = 10  # resamples that the loop does; its time is scaled up


def precision_rows(runs: int = 3) -> list[Row]:
    """One model on a test set of the size of VOC 2007's."""
    random = np.random.default_rng(0)
    labels = np.where(random.random((_IMAGES, _CLASSES)) < 0.07, 1, -1)
    labels[random.random(labels.shape) < 0.006] = 0
    scores = (random.standard_normal(labels.shape) + labels).round(2)
    counts = bootstrap_counts(_IMAGES, _RESAMPLES, seed=0)

    def ours() -> np.ndarray:
        return resampled_average_precision(scores, labels, ["sklearn"], counts)["sklearn"]

    def loop() -> np.ndarray:
        found = np.full((_CLASSES, _LOOPED), np.nan)
        for b in range(_LOOPED):
            rows = np.repeat(np.arange(_IMAGES), counts[:, b].astype(int))
            for c in range(_CLASSES):
                kept = rows[labels[rows, c] != 0]
                found[c, b] = average_precision_score(labels[kept, c] == 1, scores[kept, c])
        return found

    def scaled() -> tuple[float, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds, found = timed(loop)()
        return seconds * _RESAMPLES / _LOOPED, found

    def check(mine: np.ndarray, theirs: np.ndarray) -> str:
        far = float(np.nanmax(np.abs(mine[:, :_LOOPED] - theirs)))
        return f"{'' if far < 1e-7 else DIFFERENT}APs equal within {far:.1e} on {_LOOPED} resamples"

    peer = Peer(
        "loop over average_precision_score",
        version("scikit-learn"),
        scaled,
        check,
        note=f"the loop did {_LOOPED} resamples; its time is that times {_RESAMPLES // _LOOPED}",
    )
    given = f"{_IMAGES} images, {_CLASSES} classes, {_RESAMPLES} resamples"
    return contest("AP with intervals", given, "Pool5", timed(ours), [peer], runs)

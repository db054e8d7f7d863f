"""The images of a class in the order of their scores, and precision and recall along it.

Label 0 (only difficult instances) leaves an image out. Images with equal scores are one threshold: they enter
together, so that no order of the images changes a result.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The images of one class from the highest score down, cut where precision can be at its height.

    A segment ends with a group of equal scores that holds a positive. Between two such ends only absent
    images come in, and precision falls: no definition of AP looks there.

    Attributes
    ----------
    rows : (n,) int64
        Images that count, up to the last group with a positive.
    starts : (G,) int64
        Where each segment begins in `rows`.
    positives : (P,) int64
        The positive images, in the same order.
    positive_starts : (G,) int64
        Where each segment begins in `positives`.
    """

    rows: np.ndarray
    starts: np.ndarray
    positives: np.ndarray
    positive_starts: np.ndarray

    def cumulate(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positives and images above each threshold: two (G, B) arrays from (N, B) counts."""
        positives = _sum_segments(self.positives, self.positive_starts, counts)
        images = _sum_segments(self.rows, self.starts, counts)
        return np.cumsum(positives, axis=0, out=positives), np.cumsum(images, axis=0, out=images)


def rank(scores: np.ndarray, labels: np.ndarray) -> Ranking:
    """Sort the images of one class; `scores` and `labels` are (N,)."""
    rows = np.flatnonzero(labels != 0)
    if np.isnan(scores[rows]).any():
        raise ValueError("a score is NaN")
    rows = rows[np.argsort(-scores[rows].astype(np.float64), kind="stable")]
    ranked, present = scores[rows], labels[rows] == 1
    # the last image of each group of equal scores, then of those groups that hold a positive
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(rows) else np.empty(0, np.int64)
    found = np.cumsum(present)[ends]
    ends = ends[np.diff(found, prepend=0) > 0]
    until = ends[-1] + 1 if len(ends) else 0
    found = np.cumsum(present)[ends]
    return Ranking(
        rows=rows[:until],
        starts=np.append(0, ends[:-1] + 1)[: len(ends)],
        positives=rows[:until][present[:until]],
        positive_starts=np.append(0, found[:-1])[: len(ends)],
    )


def _sum_segments(rows: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # a product with the segments' indicator matrix gathers and sums in one pass over the counts
    indptr = np.append(starts, len(rows))
    ones = np.ones(len(rows), counts.dtype)
    segments = sparse.csr_matrix((ones, rows, indptr), shape=(len(starts), len(counts)))
    return np.asarray(segments @ counts)


def precision_recall_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision of one class at each threshold where recall grows.

    Parameters
    ----------
    scores, labels : (N,) arrays
        Of one class; 1 present, -1 absent, 0 left out.

    Returns
    -------
    recall, precision : (G,) float64 arrays
        Recall increases; empty for a class without positives.
    """
    positives, images = rank(scores, labels).cumulate(np.ones((len(scores), 1)))
    positives, images = positives[:, 0], images[:, 0]
    return positives / max(positives[-1:].sum(), 1), positives / np.maximum(images, 1)

"""Average precision under the three definitions that coexist, and its bootstrap over images.

Two rules hold for all of them. Label 0 (only difficult instances) leaves the image out for that class.
Images with equal scores are one threshold: they enter the ranking together, so that no order of the
images changes a result, and a constant score has the class's prevalence as its AP.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from ..params import Protocol

_BLOCK = 256  # resamples at a time: what one class needs of them stays in the processor's cache


def average_precision(scores: np.ndarray, labels: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Average precision of every class.

    Parameters
    ----------
    scores : (N, C) float array
        Higher means more likely present; logits, since sigmoids saturate into ties.
    labels : (N, C) int array
        1 present, -1 absent, 0 left out.
    protocol : {"voc2007", "area", "sklearn"}
        `voc2007`: mean of the interpolated precision at recall 0, 0.1, …, 1 (VOCdevkit 2007, VOCevaldet.m).
        `area`: area under the interpolated, monotone curve (VOCdevkit 2010 and later, VOCap.m).
        `sklearn`: sum of (R_n - R_{n-1}) P_n without interpolation
        (`sklearn.metrics.average_precision_score`).

    Returns
    -------
    (C,) float64 array
        NaN for a class without positives: it has no AP.

    Raises
    ------
    ValueError
        If the shapes differ or a score that counts is NaN.
    """
    counts = np.ones((len(scores), 1))
    return resampled_average_precision(scores, labels, [protocol], counts)[protocol][:, 0]


def resampled_average_precision(
    scores: np.ndarray, labels: np.ndarray, protocols: Sequence[Protocol], counts: np.ndarray
) -> dict[Protocol, np.ndarray]:
    """Average precision of every class in every resample of the images.

    Each class is sorted once; a resample is a weight for every image, so its AP is a weighted one.

    Parameters
    ----------
    scores, labels : (N, C) arrays
        As in `average_precision`.
    counts : (N, B) float array
        How often each image is in each resample; `bootstrap_counts` draws them.

    Returns
    -------
    {protocol: (C, B) float64 array}
        NaN where a resample holds no positive of the class.
    """
    if np.ndim(scores) != 2 or np.shape(scores) != np.shape(labels) or len(counts) != len(scores):
        shapes = np.shape(scores), np.shape(labels), np.shape(counts)
        raise ValueError("scores {}, labels {} and counts {} do not fit together".format(*shapes))
    num_classes, num_resamples = scores.shape[1], counts.shape[1]
    result = {protocol: np.full((num_classes, num_resamples), np.nan) for protocol in protocols}
    rankings = [rank(scores[:, c], labels[:, c]) for c in range(num_classes)]
    for start in range(0, num_resamples, _BLOCK):
        block = slice(start, start + _BLOCK)
        drawn = np.ascontiguousarray(counts[:, block])
        for c, ranking in enumerate(rankings):
            if len(ranking.starts) == 0:
                continue
            positives, images = ranking.cumulate(drawn)
            for protocol, values in _areas(positives, images, protocols).items():
                result[protocol][c, block] = values
    return result


def precision_recall_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision of one class at each threshold where recall grows.

    Parameters
    ----------
    scores, labels : (N,) arrays
        As in `average_precision`.

    Returns
    -------
    recall, precision : (G,) float64 arrays
        Recall increases; empty for a class without positives.
    """
    positives, images = rank(scores, labels).cumulate(np.ones((len(scores), 1)))
    positives, images = positives[:, 0], images[:, 0]
    return positives / max(positives[-1:].sum(), 1), positives / np.maximum(images, 1)


def bootstrap_counts(num_images: int, num_resamples: int, seed: int) -> np.ndarray:
    """How often each image is drawn in each bootstrap resample of `num_images` images.

    One table for all models and classes keeps every comparison between them paired.

    Returns
    -------
    (num_images, num_resamples) float32 array, whose columns sum to `num_images`
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((num_images, num_resamples), np.float32)
    for b in range(num_resamples):
        drawn = rng.integers(0, num_images, num_images)
        counts[:, b] = np.bincount(drawn, minlength=num_images)
    return counts


def chance_level(labels: np.ndarray) -> np.ndarray:
    """The AP of a classifier that knows nothing: the prevalence among the images that count.

    Returns
    -------
    (C,) float64 array; NaN for a class with neither positives nor negatives
    """
    positives, counted = (labels == 1).sum(axis=0), (labels != 0).sum(axis=0)
    return np.divide(positives, counted, out=np.full(labels.shape[1], np.nan), where=counted > 0)


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
    return sparse.csr_matrix((ones, rows, indptr), shape=(len(starts), len(counts))) @ counts


def _areas(
    positives: np.ndarray, images: np.ndarray, protocols: Sequence[Protocol]
) -> dict[Protocol, np.ndarray]:
    """AP from the cumulated counts of one class, (G, B) each, by protocol."""
    total = positives[-1]
    with np.errstate(invalid="ignore"):
        # nothing drawn so far: no recall is gained there, and zero is below every other precision
        precision = np.where(images > 0, positives / images, 0)
    gained = np.diff(positives, axis=0, prepend=0)
    highest = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    areas: dict[Protocol, np.ndarray] = {}
    for protocol in protocols:
        if protocol == "sklearn":
            area = np.einsum("gb,gb->b", gained, precision)
        elif protocol == "area":
            area = np.einsum("gb,gb->b", gained, highest)
        elif protocol == "voc2007":
            area = total * _eleven_points(positives, highest)
        else:
            raise ValueError(f"no such protocol: {protocol}")
        with np.errstate(invalid="ignore"):
            areas[protocol] = np.where(total > 0, area / total, np.nan)
    return areas


def _eleven_points(positives: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Mean of the highest precision at a recall of at least 0, 0.1, …, 1."""
    mean = np.zeros(positives.shape[1])
    column = np.arange(positives.shape[1])
    for tenths in range(11):
        # whole numbers: recall 3/10 must count as 0.3, whatever 0.1 * 3 is in floating point
        first = (10 * positives < tenths * positives[-1]).sum(axis=0)
        mean += highest[first, column] / 11
    return mean

"""Average precision under the three definitions that coexist, of a test set and of its resamples.

Two rules hold for all of them. Label 0 (only difficult instances) leaves the image out for that class.
Images with equal scores are one threshold: they enter the ranking together, so that no order of the
images changes a result, and a constant score has the class's prevalence as its AP.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from ..params import Protocol
from .ranking import rank

_MEANINGS: dict[Protocol, str] = {
    "voc2007": "mean of the interpolated precision at recall 0, 0.1, …, 1 (VOC devkit 2007)",
    "area": "area under the interpolated precision-recall curve (VOC devkit since 2010)",
    "sklearn": "area under the precision-recall curve without interpolation (scikit-learn)",
}
_BLOCK = 256  # resamples at a time: what one class needs of them stays in the processor's cache


@dataclasses.dataclass(frozen=True)
class AP:
    """Average precision of a class; its text is its name, as `AP(voc2007)`.

    What holds under every protocol: a value lies between 0 and 1, 1 for a perfect ranking; the order of the
    images changes nothing; a class without positives has NaN.
    """

    name: ClassVar[str] = "AP"
    protocol: Protocol

    def __str__(self) -> str:
        return f"AP({self.protocol})"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """How its name may be written."""
        return tuple(map(str, map(cls, _MEANINGS)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The measure of that name; None if it is of another kind."""
        return next((measure for measure in map(cls, _MEANINGS) if str(measure) == text), None)

    def of_classes(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """See `average_precision`."""
        return average_precision(scores, labels, self.protocol)


def meaning_of(measure: str) -> str:
    """What the measure of that name is, in a line; nothing for one of another kind."""
    parsed = AP.parse(measure)
    return _MEANINGS[parsed.protocol] if parsed else ""


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


def mean_average_precision(scores: np.ndarray, labels: np.ndarray, protocol: Protocol) -> float:
    """Mean of `average_precision` over the classes that have one; NaN where none has."""
    values = average_precision(scores, labels, protocol)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


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

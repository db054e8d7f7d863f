"""Average precision of several models with intervals, and what separates any two of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ..measures.average_precision import average_precision, resampled_average_precision
from ..measures.bootstrap import bootstrap_counts
from ..measures.chance import chance_level
from ..params import Protocol

MEAN = "mAP"
LEVEL = 0.95  # of the intervals
FEWEST_POSITIVES = 5  # below, resamples of a class hold next to nothing of what another test set could


@dataclasses.dataclass(frozen=True)
class ApRow:
    """AP of one model on one class, or its mean over the classes (`class_name` is then `mAP`).

    NaN in `ap` says that the class has no positives and so no AP; in `lo` and `hi`, that it has too few for
    an interval. The mean's `positives` is the sum, its `chance` the mean, over the classes that have an AP.
    """

    class_name: str
    model: str
    protocol: Protocol
    ap: float
    lo: float
    hi: float
    positives: int
    chance: float

    @property
    def over_chance(self) -> float:
        """The share of the way from chance to 1: 0 at chance, 1 at a perfect ranking."""
        return (self.ap - self.chance) / (1 - self.chance) if self.chance < 1 else float("nan")


@dataclasses.dataclass(frozen=True)
class DifferenceRow:
    """AP of `model` minus AP of `baseline`, with a paired interval over the same images."""

    class_name: str
    protocol: Protocol
    model: str
    baseline: str
    difference: float
    lo: float
    hi: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.lo > 0 or self.hi < 0


@dataclasses.dataclass(frozen=True)
class ApComparison:
    """All rows: protocol by protocol, class by class with `mAP` last, models in the order given."""

    classes: tuple[str, ...]
    models: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    rows: tuple[ApRow, ...]
    differences: tuple[DifferenceRow, ...]

    def row(self, class_name: str, model: str, protocol: Protocol) -> ApRow:
        """The row of one class (or `mAP`), model and protocol."""
        wanted = (class_name, model, protocol)
        return next(row for row in self.rows if (row.class_name, row.model, row.protocol) == wanted)


def compare_models(
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    protocols: Sequence[Protocol],
    resamples: int,
    seed: int,
) -> ApComparison:
    """AP of every model on every class, and the differences between every two models.

    Intervals hold the middle 95 % of bootstrap resamples of the images, which are moved so that their mean is
    the AP itself: an image drawn twice lifts its own precision, so resamples lie higher than the test set
    that they come from, by half a point where a class has a hundred positives, which is as much as mAP's
    standard deviation. Every model sees the same resamples: what is easy or hard for all of them cancels in
    a difference. A class with fewer than five positives gets no interval. A resample without a positive of
    a class leaves that class's part in mAP where it is.

    Parameters
    ----------
    scores : {model: (N, C) float array}
        A later model is compared with each earlier one as its baseline.
    labels : (N, C) int array
        1 present, -1 absent, 0 left out.
    classes : sequence of C str
    protocols : sequence of Protocol
    resamples, seed : int
        Of the bootstrap.
    """
    counts = bootstrap_counts(len(labels), resamples, seed)
    resampled = {
        model: resampled_average_precision(s, labels, protocols, counts) for model, s in scores.items()
    }
    positives, chance = (labels == 1).sum(axis=0), chance_level(labels)
    scored = positives > 0
    enough = np.append(positives >= FEWEST_POSITIVES, scored.any())
    names = [*classes, MEAN]
    positives = np.append(positives, positives[scored].sum())
    chance = np.append(chance, _mean(chance[scored]))
    rows, differences = [], []
    for protocol in protocols:
        points, draws = {}, {}
        for model, values in scores.items():
            ap = average_precision(values, labels, protocol)
            drawn = _centred(resampled[model][protocol], ap)
            points[model] = np.append(ap, _mean(ap[scored]))
            draws[model] = np.vstack([drawn, _mean(drawn[scored])])
        bounds = {model: np.clip(_interval(drawn, enough), 0, 1) for model, drawn in draws.items()}
        rows += [
            ApRow(
                class_name=name,
                model=model,
                protocol=protocol,
                ap=float(points[model][c]),
                lo=float(bounds[model][0, c]),
                hi=float(bounds[model][1, c]),
                positives=int(positives[c]),
                chance=float(chance[c]),
            )
            for c, name in enumerate(names)
            for model in scores
        ]
        pairs = [(model, baseline) for baseline, model in itertools.combinations(scores, 2)]
        gaps = {(a, b): _interval(draws[a] - draws[b], enough) for a, b in pairs}
        differences += [
            DifferenceRow(
                class_name=name,
                protocol=protocol,
                model=a,
                baseline=b,
                difference=float(points[a][c] - points[b][c]),
                lo=float(gaps[a, b][0, c]),
                hi=float(gaps[a, b][1, c]),
            )
            for c, name in enumerate(names)
            for a, b in pairs
        ]
    return ApComparison(tuple(classes), tuple(scores), tuple(protocols), tuple(rows), tuple(differences))


def _centred(drawn: np.ndarray, ap: np.ndarray) -> np.ndarray:
    """Resampled AP (C, B), moved so that each class's mean is its `ap` (C,), which also fills the gaps."""
    moved = drawn - (_mean(drawn.T) - ap)[:, None]
    return np.where(np.isnan(moved), ap[:, None], moved)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is left."""
    counted = ~np.isnan(values)
    number = counted.sum(axis=0)
    total = np.where(counted, values, 0).sum(axis=0)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def _interval(draws: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """The middle 95 % of each row of draws, (2, rows); NaN where there are not `enough` positives."""
    return np.where(enough, np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1), np.nan)

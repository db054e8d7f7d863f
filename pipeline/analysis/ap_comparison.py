"""Average precision of several models with intervals, and what separates any two of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ..files.hints import some_of
from ..measures.average_precision import AP, resampled_average_precision
from ..measures.bootstrap import bootstrap_counts
from ..measures.chance import chance_level
from ..results.ap import FEWEST_POSITIVES, LEVEL, ApDifference, ApResult, ApRow, or_none


def compare_models(
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    split: str,
    measures: Sequence[AP],
    resamples: int,
    seed: int,
    gaps: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> ApResult:
    """AP of every model on every class, and the differences between every two models.

    Intervals hold the middle 95 % of bootstrap resamples of the images, which are moved so that their mean is
    the AP itself: an image drawn twice lifts its own precision, so resamples lie half a point higher where a
    class has a hundred positives, as much as mAP's standard deviation. Every model sees the same resamples:
    what is easy or hard for all of them cancels in a difference. A class with fewer than five positives gets
    no interval, nor does a mean of such classes alone. A resample without a positive of a class leaves that
    class's part in mAP where it is.

    Parameters
    ----------
    scores : {model: (N, C) float array}
        A later model is compared with each earlier one as its baseline.
    labels : (N, C) int array
        1 present, -1 absent, 0 left out.
    classes : sequence of C str
    split : str
    measures : sequence of AP
    resamples, seed : int
        Of the bootstrap.
    gaps, notes : sequence of str
        What is known to be missing, before what is found here; what the scores take for granted.
    """
    rows: list[ApRow] = []
    differences: list[ApDifference] = []
    if scores:
        counts = bootstrap_counts(len(labels), resamples, seed)
        protocols = [measure.protocol for measure in measures]
        resampled = {m: resampled_average_precision(s, labels, protocols, counts) for m, s in scores.items()}
        for measure in measures:
            drawn = {model: draws[measure.protocol] for model, draws in resampled.items()}
            estimates = _Estimates.of(measure, scores, labels, drawn)
            rows += estimates.rows(classes)
            differences += estimates.differences(classes)
    return ApResult(
        split=split,
        images=len(labels),
        classes=tuple(classes),
        models=tuple(scores),
        measures=tuple(map(str, measures)),
        resamples=resamples,
        seed=seed,
        rows=tuple(rows),
        differences=tuple(differences),
        gaps=(*gaps, *_gaps(labels, classes, split)),
        notes=tuple(notes),
    )


@dataclasses.dataclass(frozen=True)
class _Estimates:
    """One measure of every model: the C classes, then the mean."""

    measure: str
    points: dict[str, np.ndarray]  # {model: (C + 1,)}
    draws: dict[str, np.ndarray]  # {model: (C + 1, B)}
    positives: np.ndarray  # (C + 1,)
    chance: np.ndarray  # (C + 1,)
    enough: np.ndarray  # (C + 1,): whether there are enough positives for an interval

    @classmethod
    def of(
        cls,
        measure: AP,
        scores: Mapping[str, np.ndarray],
        labels: np.ndarray,
        drawn: Mapping[str, np.ndarray],
    ) -> _Estimates:
        positives, chance = (labels == 1).sum(axis=0), chance_level(labels)
        scored, enough = positives > 0, positives >= FEWEST_POSITIVES
        points, draws = {}, {}
        for model, values in scores.items():
            ap = measure.of_classes(values, labels)
            centred = _centred(drawn[model], ap)
            points[model] = np.append(ap, _mean(ap[scored]))
            draws[model] = np.vstack([centred, _mean(centred[scored])])
        return cls(
            str(measure),
            points,
            draws,
            np.append(positives, positives[scored].sum()),
            np.append(chance, _mean(chance[scored])),
            np.append(enough, enough.any()),
        )

    def rows(self, classes: Sequence[str]) -> list[ApRow]:
        bounds = {model: np.clip(self._interval(draws), 0, 1) for model, draws in self.draws.items()}
        return [
            ApRow(
                class_name=name,
                model=model,
                measure=self.measure,
                ap=or_none(self.points[model][c]),
                lo=or_none(bounds[model][0, c]),
                hi=or_none(bounds[model][1, c]),
                positives=int(self.positives[c]),
                chance=or_none(self.chance[c]),
            )
            for c, name in enumerate([*classes, None])
            for model in self.points
        ]

    def differences(self, classes: Sequence[str]) -> list[ApDifference]:
        pairs = [(model, baseline) for baseline, model in itertools.combinations(self.points, 2)]
        bounds = {(a, b): self._interval(self.draws[a] - self.draws[b]) for a, b in pairs}
        return [
            ApDifference(
                class_name=name,
                measure=self.measure,
                model=a,
                baseline=b,
                difference=or_none(self.points[a][c] - self.points[b][c]),
                lo=or_none(bounds[a, b][0, c]),
                hi=or_none(bounds[a, b][1, c]),
            )
            for c, name in enumerate([*classes, None])
            for a, b in pairs
        ]

    def _interval(self, draws: np.ndarray) -> np.ndarray:
        """The middle 95 % of each row of draws, (2, C + 1); NaN where there are not enough positives."""
        ends = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        return np.where(self.enough, ends, np.nan)


def _gaps(labels: np.ndarray, classes: Sequence[str], split: str) -> list[str]:
    positives = (labels == 1).sum(axis=0).tolist()
    none = [name for name, number in zip(classes, positives, strict=True) if number == 0]
    few = [name for name, number in zip(classes, positives, strict=True) if 0 < number < FEWEST_POSITIVES]
    gaps = []
    if none:
        gaps.append(f"no image of {split} shows {some_of(none)}: there is no AP, and no part in the mean")
    if few:
        gaps.append(
            f"fewer than {FEWEST_POSITIVES} images of {split} show {some_of(few)}: no interval, and no "
            "verdict on a difference"
        )
    return gaps


def _centred(drawn: np.ndarray, ap: np.ndarray) -> np.ndarray:
    """Resampled AP (C, B), moved so that each class's mean is its `ap` (C,), which also fills the gaps."""
    moved = drawn - (_mean(drawn.T) - ap)[:, None]
    return np.where(np.isnan(moved), ap[:, None], moved)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is left."""
    counted = ~np.isnan(values)
    number = counted.sum(axis=0)
    total = np.where(counted, values, 0).sum(axis=0)
    mean: np.ndarray = np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)
    return mean

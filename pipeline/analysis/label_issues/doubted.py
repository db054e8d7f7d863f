"""Labels that a probe doubts: its scores made probabilities, the labels ranked by them, and what is near."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ...files.hints import some_of
from ...probe.calibration import cross_fitted, fit_sigmoids
from ...probe.regularisation import assign_folds
from ...results.ap import FEWEST_POSITIVES, or_none
from ...results.label_issues import (
    Agreeing,
    Calibration,
    ClassNoise,
    Kind,
    LabelIssue,
    ListedCount,
    ProbeIssues,
    ReliabilityBin,
)
from ...store.feature_file import FeatureFile
from ...store.neighbor_file import NeighborFile
from .noise import NoiseRates, estimate_rates, probably_wrong, rate_bounds

_FOLDS = 5  # of the calibration
_BINS = 10
_TINY = 1e-6  # the least probability
_NEAR, _SHOWN = 10, 3  # neighbors that are counted, and those of them that are named
_KINDS: dict[Kind, int] = {"missing": -1, "wrong": 1}  # and the label that is doubted


@dataclasses.dataclass(frozen=True)
class Doubts:
    """What a probe thinks of the labels of one split.

    Attributes
    ----------
    file : FeatureFile
    labels : (N, K) int8
        With 0 for every label of a class that is not judged.
    shown : (N, K) float64
        The probability that such an image is labelled with the class.
    rates : NoiseRates
    probability : (N, K) float64
        That the label is not right; NaN where it is 0.
    """

    file: FeatureFile
    labels: np.ndarray
    shown: np.ndarray
    rates: NoiseRates
    probability: np.ndarray

    @classmethod
    def of(
        cls, file: FeatureFile, labels: np.ndarray, shown: np.ndarray, else_rates: NoiseRates | None
    ) -> Doubts:
        """By the rates of the classes that the split has enough images of; without any, by the given ones."""
        enough = judged_classes(labels)
        rates = estimate_rates(shown[:, enough], labels[:, enough]) or else_rates or NoiseRates(0.0, 0.0)
        return cls(file, labels, shown, rates, probably_wrong(shown, labels, rates))


def judged_classes(labels: np.ndarray) -> np.ndarray:
    """(K,) bool: the classes with enough images that show them and that do not."""
    positives, negatives = (labels == 1).sum(axis=0), (labels == -1).sum(axis=0)
    return np.asarray((positives >= FEWEST_POSITIVES) & (negatives >= FEWEST_POSITIVES))


def has_one_label(labels: np.ndarray) -> bool:
    """Whether every image has exactly one label, of two classes or more, and none is in doubt."""
    return labels.shape[1] > 1 and bool((labels != 0).all() and ((labels == 1).sum(axis=1) == 1).all())


def doubt_labels(
    files: Sequence[FeatureFile], held_out: np.ndarray, logits: np.ndarray, seed: int
) -> tuple[Doubts, Doubts]:
    """What a probe thinks of the labels of the training and of the test split.

    Parameters
    ----------
    files : sequence of two FeatureFile
        Of the training and the test split.
    held_out : (N, K) float array
        Scores of the training images by probes that have not learned from them; a class may be NaN.
    logits : (M, K) float array
        Scores of the test images.
    seed : int
        Of the folds of the calibration.
    """
    train, test = (np.asarray(file.labels) for file in files)
    one_label = has_one_label(train)
    judged = judged_classes(train) & np.isfinite(held_out).all(axis=0)
    train, test = (np.where(judged, labels, 0).astype(np.int8) for labels in (train, test))
    scores = np.where(judged, held_out, 0.0)
    folds = assign_folds(train, _FOLDS, seed)
    shown = _settled(cross_fitted(scores, train, folds), one_label)
    of_train = Doubts.of(files[0], train, shown, None)
    shown = _settled(fit_sigmoids(scores, train).probabilities(np.where(judged, logits, 0.0)), one_label)
    return of_train, Doubts.of(files[1], test, shown, of_train.rates)


def list_issues(
    doubts: Sequence[Doubts], graph: NeighborFile | None, listed: int, least: float
) -> tuple[tuple[ListedCount, ...], tuple[LabelIssue, ...]]:
    """The labels that are probably not right, with what may be expected of the lists; most probable first.

    Parameters
    ----------
    doubts : sequence of Doubts
        The first is of the training split.
    graph : NeighborFile or None
        Of the probe's layer.
    listed : int
        How many of each split and kind at most.
    least : float
        The probability from which a label is listed.
    """
    train = doubts[0]
    one_label = has_one_label(np.asarray(train.file.labels))
    counts, issues = [], []
    for each in doubts:
        for kind, label in _KINDS.items():
            if one_label and kind == "missing":
                continue
            count, rows, columns = _doubted(each, kind, label, listed, least)
            counts.append(count)
            near = _nearest(graph, each.file, train, rows, columns, -label)
            issues += [
                _issue(each, kind, row, column, around, one_label)
                for row, column, around in zip(rows.tolist(), columns.tolist(), near, strict=True)
            ]
    issues.sort(key=lambda i: (-i.probability, _KINDS[i.kind] * i.shown, i.split, i.id, i.class_name))
    return tuple(counts), tuple(issues)


def calibration_of(doubts: Doubts, train: np.ndarray) -> Calibration | None:
    """How well the probabilities hold; None where the split has no label. `train` are its labels, (N, K)."""
    known = doubts.labels != 0
    if not known.any():
        return None
    told, found = doubts.shown[known], doubts.labels[known] == 1
    positives, counted = (train == 1).sum(axis=0), (train != 0).sum(axis=0)
    shares = np.broadcast_to((positives + 1) / (counted + 2), doubts.shown.shape)[known]
    place = np.minimum((told * _BINS).astype(np.int64), _BINS - 1)
    bins = tuple(
        ReliabilityBin(
            lo=b / _BINS,
            hi=(b + 1) / _BINS,
            labels=int(inside.sum()),
            told=float(told[inside].mean()),
            found=float(found[inside].mean()),
        )
        for b in range(_BINS)
        if (inside := place == b).any()
    )
    return Calibration(
        split=doubts.file.split,
        error=sum(b.labels * abs(b.told - b.found) for b in bins) / len(told),
        log_loss=_log_loss(told, found),
        log_loss_of_shares=_log_loss(shares, found),
        bins=bins,
    )


def noise_of(doubts: Doubts) -> tuple[ClassNoise, ...]:
    """What bounds the rates of wrong labels, for the classes that are judged."""
    positives, negatives = ((doubts.labels == label).sum(axis=0).tolist() for label in (1, -1))
    bounds = rate_bounds(doubts.shown, doubts.labels)
    missing, wrong = ([or_none(bound) for bound in np.round(each, 6).tolist()] for each in bounds)
    return tuple(
        ClassNoise(
            split=doubts.file.split,
            class_name=name,
            positives=positives[c],
            negatives=negatives[c],
            missing_at_most=missing[c],
            wrong_at_most=wrong[c],
        )
        for c, name in enumerate(doubts.file.classes)
        if positives[c] or negatives[c]
    )


def examine_probe(
    probe: str,
    of: str,
    kind: Literal["linear", "knn", "zeroshot"],
    doubts: Sequence[Doubts],
    graph: NeighborFile | None,
    listed: int,
    least: float,
) -> ProbeIssues:
    """All that is told of one probe; `doubts` are those of the training and of the test split."""
    counts, issues = list_issues(doubts, graph, listed, least)
    calibration = [calibration_of(each, doubts[0].labels) for each in doubts]
    return ProbeIssues(
        probe=probe,
        of=of,
        kind=kind,
        rates={
            each.file.split: {"missing": round(each.rates.missing, 6), "wrong": round(each.rates.wrong, 6)}
            for each in doubts
            if (each.labels != 0).any()
        },
        counts=counts,
        calibration=tuple(each for each in calibration if each is not None),
        classes=tuple(noise for each in doubts for noise in noise_of(each)),
        issues=issues,
    )


def gaps_of(doubts: Doubts, held_out: np.ndarray) -> list[str]:
    """What a probe could not judge of the training split, and why."""
    classes, labels = doubts.file.classes, np.asarray(doubts.file.labels)
    if not classes:
        return ["the data set has no classes: there are no labels to doubt"]
    enough = judged_classes(labels)
    few = [name for name, there in zip(classes, enough.tolist(), strict=True) if not there]
    unheld = enough & ~np.isfinite(held_out).all(axis=0)
    blind = enough & (fit_sigmoids(held_out, labels).slope == 0)
    gaps = []
    if few:
        gaps.append(
            f"{some_of(few)}: fewer than {FEWEST_POSITIVES} images of {doubts.file.split} that show the "
            "class or that do not; its labels are not judged"
        )
    if unheld.any():
        names = [classes[c] for c in np.flatnonzero(unheld)]
        gaps.append(f"{some_of(names)}: no held-out score; its labels are not judged")
    if blind.any():
        names = [classes[c] for c in np.flatnonzero(blind)]
        gaps.append(f"{some_of(names)}: its scores do not tell the class; none of its labels is doubted")
    return gaps


def _settled(shown: np.ndarray, one_label: bool) -> np.ndarray:
    """Probabilities that are neither 0 nor 1; where an image has one label, of all classes together 1."""
    if one_label:
        shown = shown / np.maximum(np.nansum(shown, axis=1, keepdims=True), _TINY)
    settled: np.ndarray = np.clip(shown, _TINY, 1 - _TINY)
    return settled


def _doubted(
    doubts: Doubts, kind: Kind, label: int, listed: int, least: float
) -> tuple[ListedCount, np.ndarray, np.ndarray]:
    """The count of a list, and the rows and columns in it, most probable first."""
    candidates = doubts.labels == label
    probability = np.where(candidates, doubts.probability, 0.0).ravel()
    doubted = np.flatnonzero(candidates.ravel() & (probability >= least))
    own = (label * doubts.shown).ravel()  # tells apart what is not right for certain
    order = doubted[np.lexsort((own[doubted], -probability[doubted]))][:listed]
    everything, total = int(candidates.sum()), float(probability.sum())
    count = ListedCount(
        split=doubts.file.split,
        kind=kind,
        labels=everything,
        estimated=round(total, 6),
        doubted=len(doubted),
        listed=len(order),
        expected=round(float(probability[order].sum()), 6),
        by_chance=round(len(order) * total / max(everything, 1), 6),
    )
    rows, columns = np.divmod(order, max(doubts.labels.shape[1], 1))
    return count, rows, columns


def _issue(
    doubts: Doubts,
    kind: Kind,
    row: int,
    column: int,
    around: tuple[int, int, tuple[Agreeing, ...]],
    one_label: bool,
) -> LabelIssue:
    near, agreeing, nearest = around
    classes = doubts.file.classes
    return LabelIssue(
        split=doubts.file.split,
        id=str(doubts.file.ids[row]),
        class_name=classes[column],
        kind=kind,
        probability=round(float(doubts.probability[row, column]), 6),
        shown=round(float(doubts.shown[row, column]), 6),
        instead=_instead(doubts.shown[row], column, classes) if one_label else None,
        near=near,
        agreeing=agreeing,
        nearest=nearest,
    )


def _instead(shown: np.ndarray, column: int, classes: Sequence[str]) -> str | None:
    """The most probable other class."""
    others = np.where(np.arange(len(shown)) == column, -1, np.nan_to_num(shown, nan=-1))
    return classes[int(others.argmax())] if others.max() > 0 else None


def _nearest(
    graph: NeighborFile | None,
    file: FeatureFile,
    train: Doubts,
    rows: np.ndarray,
    columns: np.ndarray,
    suspected: int,
) -> list[tuple[int, int, tuple[Agreeing, ...]]]:
    """Of each doubted label: near training images with a label on the class, those that agree, the first."""
    if graph is None:
        return [(0, 0, ())] * len(rows)
    near, distances = (array[rows] for array in graph.nearest(file.split, train.file.split))
    found = []
    for around, far, column in zip(near, distances, columns.tolist(), strict=True):
        labels = train.labels[around, column]
        counted = labels[labels != 0][:_NEAR]
        first = np.flatnonzero(labels == suspected)[:_SHOWN]
        nearest = tuple(
            Agreeing(id=str(train.file.ids[around[place]]), distance=round(float(far[place]), 6))
            for place in first.tolist()
        )
        found.append((len(counted), int((counted == suspected).sum()), nearest))
    return found


def _log_loss(told: np.ndarray, found: np.ndarray) -> float:
    return float(-np.log(np.where(found, told, 1 - told)).mean())

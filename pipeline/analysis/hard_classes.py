"""Which classes are hard, and what the ranking of their images says about why.

`results/hard.py` has the words: found, false alarm, confusion, influence.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from ..results.ap import FEWEST_POSITIVES, ApDifference, ApResult, ApRow
from ..results.hard import Confusion, Group, HardClass, Influence, percent
from .annotated_objects import ObjectStatistics

_FEWEST_IN_GROUPS = 15  # positives; fewer are not split into groups


@dataclasses.dataclass(frozen=True)
class ClassRanking:
    """The images in the order of their scores for one class.

    Attributes
    ----------
    ranks : (N,) int64
        1 is the highest score; an image has the worst of the ranks that its tie covers; 0: does not count.
    hits, misses, false_alarms : (n,) int64
        Rows: positives from the highest score down, positives from the lowest score up, absent images from
        the highest score down.
    """

    ranks: np.ndarray
    hits: np.ndarray
    misses: np.ndarray
    false_alarms: np.ndarray


def rank_images(scores: np.ndarray, labels: np.ndarray) -> ClassRanking:
    """Rank the images for one class; `scores` and `labels` are (N,)."""
    counted = labels != 0
    ranks = np.zeros(len(scores), np.int64)
    ranks[counted] = stats.rankdata(-scores[counted], "max")
    present, absent = np.flatnonzero(labels == 1), np.flatnonzero(labels == -1)
    present = present[np.argsort(ranks[present], kind="stable")]
    absent = absent[np.argsort(ranks[absent], kind="stable")]
    return ClassRanking(ranks, hits=present, misses=present[::-1], false_alarms=absent)


def choose_classes(
    result: ApResult, measure: str, model: str, num_gains: int = 2
) -> dict[str, tuple[str, ...]]:
    """The classes to look at, and why each: the easiest and the hardest, and those that gain most.

    Classes with fewer than five positives are passed over, unless there are no others. Gains are over the
    first model of the comparison, and only those that are beyond noise.
    """
    rows = [row for rows in result.by_class(measure).values() for row in rows if row.model == model]
    rows = [row for row in rows if row.class_name is not None and row.positives > 0]
    rows = [row for row in rows if row.positives >= FEWEST_POSITIVES] or rows
    chosen: dict[str, list[str]] = {}
    for value, of in (("ap", "AP"), ("over_chance", "AP over chance")):
        ordered = sorted(
            (row for row in rows if getattr(row, value) is not None), key=lambda r: getattr(r, value)
        )
        for row, which in [(ordered[-1], "highest"), (ordered[0], "lowest")] if ordered else ():
            chosen.setdefault(str(row.class_name), []).append(f"{which} {of}")
    gains = [
        row
        for row in result.pairs(measure).get((model, result.models[0]), ())
        if row.sign > 0 and row.class_name is not None
    ]
    for place, gain in enumerate(sorted(gains, key=lambda row: -(row.difference or 0))[:num_gains]):
        which = "largest" if place == 0 else "next largest"
        chosen.setdefault(str(gain.class_name), []).append(f"{which} gain over {gain.baseline}")
    return {name: tuple(why) for name, why in chosen.items()}


def examine_classes(
    result: ApResult,
    measure: str,
    model: str,
    scores: np.ndarray,
    labels: np.ndarray,
    objects: Mapping[str, ObjectStatistics],
) -> list[tuple[HardClass, ClassRanking]]:
    """Look at the classes of `choose_classes`.

    Parameters
    ----------
    result, measure, model
        Where AP and gain are taken from.
    scores, labels : (N, C) arrays
        The scores are those of `model`.
    objects : {class: ObjectStatistics}
        For the same images; may be empty.
    """
    gains = {row.class_name: row for row in result.pairs(measure).get((model, result.models[0]), ())}
    examined = []
    for name, why in choose_classes(result, measure, model).items():
        row = result.row(name, model, measure)
        ranking = rank_images(*(each[:, result.classes.index(name)] for each in (scores, labels)))
        item = examine_class(
            row, gains.get(name), why, ranking, scores, labels, result.classes, objects.get(name)
        )
        examined.append((item, ranking))
    return examined


def examine_class(
    row: ApRow,
    gain: ApDifference | None,
    why: Sequence[str],
    ranking: ClassRanking,
    scores: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    objects: ObjectStatistics | None = None,
) -> HardClass:
    """Look at the ranking of the images for one class, that of `row`; for the rest see `examine_classes`."""
    name = str(row.class_name)
    column, present = list(classes).index(name), ranking.hits
    first = len(present)
    found = ranking.ranks[present] <= first
    alarms = ranking.false_alarms[ranking.ranks[ranking.false_alarms] <= first]
    own = scores[:, column]
    # its file is numbered too: two names may differ in nothing that a file name can hold
    stem = re.sub(r"[^\w.-]+", "_", name)[:60]
    return HardClass(
        class_name=name,
        model=row.model,
        measure=row.measure,
        why=tuple(why),
        ap=row.ap or 0.0,
        lo=row.lo,
        hi=row.hi,
        chance=row.chance or 0.0,
        over_chance=row.over_chance,
        gain=gain.difference if gain else None,
        gain_lo=gain.lo if gain else None,
        gain_hi=gain.hi if gain else None,
        gain_over=gain.baseline if gain else None,
        images=int((ranking.ranks > 0).sum()),
        positives=first,
        found=int(found.sum()),
        false_alarms=len(alarms),
        last_place=int(ranking.ranks[ranking.misses[0]]),
        confusions=_confusions(classes, column, labels, alarms, ranking.false_alarms),
        size=_size_influence(objects, own, present, found) if objects else None,
        number=_number_influence(objects, own, present, found) if objects else None,
        sheet=f"{column + 1:02}-{stem}.png",
    )


def _confusions(
    classes: Sequence[str], column: int, labels: np.ndarray, alarms: np.ndarray, absent: np.ndarray
) -> tuple[Confusion, ...]:
    if len(alarms) == 0:
        return ()
    share = (labels[alarms] == 1).mean(axis=0)
    expected = (labels[absent] == 1).mean(axis=0)
    order = np.argsort(expected - share, kind="stable")
    return tuple(
        Confusion(class_name=classes[c], share=float(share[c]), expected=float(expected[c]))
        for c in order
        if c != column and share[c] > 0
    )


def _size_influence(
    objects: ObjectStatistics, scores: np.ndarray, present: np.ndarray, found: np.ndarray
) -> Influence | None:
    """Thirds of the positives by the share of the picture that the largest object covers."""
    known = np.isfinite(objects.largest[present])
    rows, found = present[known], found[known]
    if len(rows) < _FEWEST_IN_GROUPS:
        return None
    sizes = objects.largest[rows]
    low, high = np.quantile(sizes, [1 / 3, 2 / 3])
    masks = {
        f"below {percent(low)} of the picture": sizes < low,
        f"{percent(low)} to {percent(high)}": (sizes >= low) & (sizes < high),
        f"{percent(high)} and more": sizes >= high,
    }
    return _influence(sizes, scores[rows], masks, found)


def _number_influence(
    objects: ObjectStatistics, scores: np.ndarray, present: np.ndarray, found: np.ndarray
) -> Influence | None:
    known = objects.number[present] > 0
    rows, found = present[known], found[known]
    number = objects.number[rows]
    if len(rows) < _FEWEST_IN_GROUPS or (number == number[0]).all():
        return None
    masks = {"one object": number == 1, "two": number == 2, "three and more": number >= 3}
    return _influence(number, scores[rows], masks, found)


def _influence(
    values: np.ndarray, scores: np.ndarray, masks: Mapping[str, np.ndarray], found: np.ndarray
) -> Influence | None:
    if np.ptp(values) == 0 or np.ptp(scores) == 0:
        return None
    result = stats.spearmanr(values, scores)
    groups = [
        Group(name=name, images=int(mask.sum()), found=int(found[mask].sum()))
        for name, mask in masks.items()
        if mask.any()
    ]
    return Influence(
        groups=tuple(groups), correlation=float(result.statistic), clear=bool(result.pvalue < 0.05)
    )

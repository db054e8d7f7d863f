"""Which classes are hard, and what the ranking of their images says about why.

All that is said here is counted: an image is found if it ranks among the first P of its class, where P is
the number of its positives (there, recall equals precision); a false alarm is an absent image among them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ..params import Protocol
from .annotated_objects import ObjectStatistics
from .ap_comparison import FEWEST_POSITIVES, MEAN, ApComparison, ApRow, DifferenceRow

_FEWEST_IN_GROUPS = 15  # positives; fewer are not split into groups


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Another class in the false alarms of a class."""

    class_name: str
    share: float  # of the false alarms
    expected: float  # of all images in which the class is absent


@dataclasses.dataclass(frozen=True)
class Group:
    """Positive images that are alike in one respect, and how many of them are found."""

    name: str
    images: int
    found: int


@dataclasses.dataclass(frozen=True)
class Influence:
    """Whether a property of the positive images goes with their score.

    `correlation` is Spearman's, over the positives; `clear` says that chance gives a larger one in fewer
    than one of twenty cases.
    """

    groups: tuple[Group, ...]
    correlation: float
    clear: bool


@dataclasses.dataclass(frozen=True)
class HardClass:
    """What the images of one class tell about one model.

    Attributes
    ----------
    why : tuple of str
        Why the class is shown.
    ap : ApRow
    gain : DifferenceRow or None
        Over the first model of the comparison.
    ranks : (N,) int64
        1 is the highest score; an image has the worst of the ranks that its tie covers; 0: does not count.
    hits, misses, false_alarms : (n,) int64
        Rows: positives from the highest score down, positives from the lowest score up, absent images from
        the highest score down.
    found, false : int
        Positives and absent images among the first P.
    confusions : tuple of Confusion
        The classes in the false alarms, the most overrepresented first.
    size, number : Influence or None
        Of the largest object's share of the picture, and of the number of objects; None where unknown.
    """

    class_name: str
    model: str
    why: tuple[str, ...]
    ap: ApRow
    gain: DifferenceRow | None
    ranks: np.ndarray
    hits: np.ndarray
    misses: np.ndarray
    false_alarms: np.ndarray
    found: int
    false: int
    confusions: tuple[Confusion, ...]
    size: Influence | None
    number: Influence | None


def best_model(comparison: ApComparison, protocol: Protocol) -> str:
    """The model with the highest mAP."""
    return max(comparison.models, key=lambda model: np.nan_to_num(comparison.row(MEAN, model, protocol).ap))


def choose_classes(
    comparison: ApComparison, protocol: Protocol, model: str, num_gains: int = 2
) -> dict[str, tuple[str, ...]]:
    """The classes to look at, and why each: the easiest and the hardest, and those that gain most.

    Classes with fewer than five positives are passed over, unless there are no others. Gains are over the
    first model of the comparison, and only those that are beyond noise.
    """
    rows = [comparison.row(name, model, protocol) for name in comparison.classes]
    rows = [row for row in rows if row.positives > 0]
    rows = [row for row in rows if row.positives >= FEWEST_POSITIVES] or rows
    chosen: dict[str, list[str]] = {}
    if rows:
        for measure, of in (("ap", "AP"), ("over_chance", "AP over chance")):
            ordered = sorted(rows, key=lambda row: getattr(row, measure))
            chosen.setdefault(ordered[-1].class_name, []).append(f"highest {of}")
            chosen.setdefault(ordered[0].class_name, []).append(f"lowest {of}")
    gains = [
        row for row in _gains(comparison, protocol, model).values() if row.lo > 0 and row.class_name != MEAN
    ]
    for place, row in enumerate(sorted(gains, key=lambda row: -row.difference)[:num_gains]):
        which = "largest" if place == 0 else "next largest"
        chosen.setdefault(row.class_name, []).append(f"{which} gain over {row.baseline}")
    return {name: tuple(why) for name, why in chosen.items()}


def examine_class(
    class_name: str,
    why: Sequence[str],
    comparison: ApComparison,
    protocol: Protocol,
    model: str,
    scores: np.ndarray,
    labels: np.ndarray,
    objects: ObjectStatistics | None = None,
) -> HardClass:
    """Look at the ranking of the images for one class.

    Parameters
    ----------
    class_name : str
    why : sequence of str
        As `choose_classes` says it.
    comparison, protocol, model
        Where AP and gain are taken from.
    scores : (N, C) float array
        Of `model`.
    labels : (N, C) int array
    objects : ObjectStatistics, optional
        Of this class, for the same images.
    """
    column = comparison.classes.index(class_name)
    own, truth = scores[:, column], labels[:, column]
    counted = truth != 0
    ranks = np.zeros(len(own), np.int64)
    ranks[counted] = stats.rankdata(-own[counted], "max")
    present, absent = np.flatnonzero(truth == 1), np.flatnonzero(truth == -1)
    present = present[np.argsort(ranks[present], kind="stable")]
    absent = absent[np.argsort(ranks[absent], kind="stable")]
    found = ranks[present] <= len(present)
    alarms = absent[ranks[absent] <= len(present)]
    return HardClass(
        class_name=class_name,
        model=model,
        why=tuple(why),
        ap=comparison.row(class_name, model, protocol),
        gain=_gains(comparison, protocol, model).get(class_name),
        ranks=ranks,
        hits=present,
        misses=present[::-1],
        false_alarms=absent,
        found=int(found.sum()),
        false=len(alarms),
        confusions=_confusions(comparison.classes, column, labels, alarms, absent),
        size=_size_influence(objects, own, present, found) if objects else None,
        number=_number_influence(objects, own, present, found) if objects else None,
    )


def describe(item: HardClass) -> str:
    """A short text on a class, made from its numbers alone."""
    row = item.ap
    name = item.class_name
    interval = "" if np.isnan(row.lo) else f" [{row.lo:.3f}, {row.hi:.3f}]"
    parts = [
        f"{item.model} reaches AP {row.ap:.3f}{interval} ({row.protocol}) where chance is {row.chance:.3f}: "
        f"{_percent(max(row.over_chance, 0))} of the way from chance to a perfect ranking."
    ]
    if item.gain is not None and not np.isnan(item.gain.lo):
        gain = item.gain
        verdict = "beyond noise" if gain.beyond_noise else "within noise"
        parts.append(
            f"Over {gain.baseline} it {'gains' if gain.difference >= 0 else 'loses'} "
            f"{abs(gain.difference):.3f} [{gain.lo:+.3f}, {gain.hi:+.3f}], {verdict}."
        )
    total = len(item.hits)
    parts.append(
        f"Images that show {name}: {total}. Found, that is among the first {total}: {item.found}; the last "
        f"comes at place {item.ranks[item.misses[0]]} of {int((item.ranks > 0).sum())}."
    )
    parts.append(_say_confusions(item))
    if item.size:
        parts.append(_say_influence(item.size, f"how large the largest {name} is", "large", "small"))
    if item.number:
        parts.append(_say_influence(item.number, "how many there are in a picture", "many", "few"))
    return " ".join(part for part in parts if part)


def as_json(item: HardClass, sheets: Sequence[str]) -> dict[str, Any]:
    """The record that reports/hard/hard.json keeps of a class; plain values only."""
    return {
        "ap": _round(item.ap.ap),
        "chance": _round(item.ap.chance),
        "class": item.class_name,
        "confusions": [
            {"class": c.class_name, "expected": _round(c.expected), "share": _round(c.share)}
            for c in item.confusions
        ],
        "false_alarms": item.false,
        "found": item.found,
        "gain": None if item.gain is None else _round(item.gain.difference),
        "gain_over": None if item.gain is None else item.gain.baseline,
        "model": item.model,
        "number": _influence_json(item.number),
        "over_chance": _round(item.ap.over_chance),
        "positives": len(item.hits),
        "protocol": item.ap.protocol,
        "sheets": list(sheets),
        "size": _influence_json(item.size),
        "text": describe(item),
        "why_shown": list(item.why),
    }


def _gains(comparison: ApComparison, protocol: Protocol, model: str) -> Mapping[str, DifferenceRow]:
    """What `model` gains over the first model, by class."""
    wanted = (protocol, model, comparison.models[0])
    rows = [row for row in comparison.differences if (row.protocol, row.model, row.baseline) == wanted]
    return {row.class_name: row for row in rows}


def _confusions(
    classes: Sequence[str], column: int, labels: np.ndarray, alarms: np.ndarray, absent: np.ndarray
) -> tuple[Confusion, ...]:
    if len(alarms) == 0:
        return ()
    share = (labels[alarms] == 1).mean(axis=0)
    expected = (labels[absent] == 1).mean(axis=0)
    order = np.argsort(expected - share, kind="stable")
    return tuple(
        Confusion(classes[c], float(share[c]), float(expected[c]))
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
        f"below {_percent(low)} of the picture": sizes < low,
        f"{_percent(low)} to {_percent(high)}": (sizes >= low) & (sizes < high),
        f"{_percent(high)} and more": sizes >= high,
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
        Group(name, int(mask.sum()), int(found[mask].sum())) for name, mask in masks.items() if mask.any()
    ]
    return Influence(tuple(groups), float(result.statistic), bool(result.pvalue < 0.05))


def _say_confusions(item: HardClass) -> str:
    if item.false == 0:
        return "There is no false alarm among the first."
    telling = [c for c in item.confusions if c.share > c.expected][:2]
    said = [
        f"{c.class_name} is in {_percent(c.share)} of them (in {_percent(c.expected)} of all images without "
        f"{item.class_name})"
        for c in telling
    ]
    found = " and ".join(said) or "no other class is in them more often than in all images"
    return f"False alarms among the first: {item.false}; {found}."


def _say_influence(influence: Influence, what: str, more: str, less: str) -> str:
    groups = [f"{group.name}: {group.found} of {group.images}" for group in influence.groups]
    found = f"{'; '.join(groups)} found; rank correlation with the score {influence.correlation:+.2f}"
    if not influence.clear:
        return f"No clear influence of {what} ({found})."
    better = more if influence.correlation > 0 else less
    return f"{what[0].upper()}{what[1:]} matters: {better} is easier ({found})."


def _influence_json(influence: Influence | None) -> dict[str, Any] | None:
    if influence is None:
        return None
    groups = [{"found": g.found, "images": g.images, "name": g.name} for g in influence.groups]
    return {"clear": influence.clear, "correlation": _round(influence.correlation), "groups": groups}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _round(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)

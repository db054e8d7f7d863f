"""What the stage `ap` finds: average precision by class and model, and what separates any two models."""

from __future__ import annotations

import math
from typing import ClassVar

from .record import Part, Record

LEVEL = 0.95  # of the intervals
MEAN = "mAP"  # what the mean over classes is called where there are names
FEWEST_POSITIVES = 5  # below, resamples of a class hold next to nothing of what another test set could


class ApRow(Part, frozen=True):
    """AP of one model on one class, or the mean over the classes (mAP).

    Attributes
    ----------
    class_name : str or None
        None for the mean.
    measure : str
        As the registry of measures writes it: `AP(voc2007)`.
    ap : float or None
        None where the class has no positives and so no AP.
    lo, hi : float or None
        None as well where the class has fewer than five positives, or all classes of a mean have.
    positives : int
        The mean's is the sum over the classes that have an AP.
    chance : float or None
        The share of positives among the images that count; the mean's is the mean over the same classes.
    """

    class_name: str | None
    model: str
    measure: str
    ap: float | None
    lo: float | None
    hi: float | None
    positives: int
    chance: float | None

    @property
    def over_chance(self) -> float | None:
        """The share of the way from chance to 1: 0 at chance, 1 at a perfect ranking."""
        if self.ap is None or self.chance is None or self.chance >= 1:
            return None
        return (self.ap - self.chance) / (1 - self.chance)


class ApDifference(Part, frozen=True):
    """AP of `model` minus AP of `baseline`, with a paired interval over the same images.

    `class_name` None is the mean; the numbers are None as in `ApRow`.
    """

    class_name: str | None
    measure: str
    model: str
    baseline: str
    difference: float | None
    lo: float | None
    hi: float | None

    @property
    def sign(self) -> int:
        """1 for a gain beyond noise, -1 for a loss: the interval leaves zero out; else 0."""
        if self.lo is None or self.hi is None:
            return 0
        return int(self.lo > 0) - int(self.hi < 0)

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.sign != 0


class ApResult(Record, frozen=True):
    """All rows, measure by measure, class by class with the mean last, models in the order of ap.of.

    Attributes
    ----------
    split : str
    images : int
    classes, models, measures : tuple of str
        Without classes or models there are no rows, and `gaps` says why.
    resamples, seed : int
        Of the bootstrap.
    differences : tuple of ApDifference
        Of every model with every earlier one.
    gaps : tuple of str
        What has no number, and why.
    notes : tuple of str
        What the numbers take for granted: the order of a model's outputs, where its weights name no classes.
    """

    stage: ClassVar[str] = "ap"
    version: ClassVar[int] = 2

    split: str
    images: int
    classes: tuple[str, ...]
    models: tuple[str, ...]
    measures: tuple[str, ...]
    resamples: int
    seed: int
    rows: tuple[ApRow, ...]
    differences: tuple[ApDifference, ...]
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_values(self) -> bool:
        """Whether any class of any model has an AP."""
        return any(row.ap is not None for row in self.rows)

    def called(self, class_name: str | None) -> str:
        """What people read for a class, or for the mean: `mAP`, or `mAP (mean)` beside a class called mAP."""
        return class_name if class_name is not None else f"{MEAN} (mean)" if MEAN in self.classes else MEAN

    def row(self, class_name: str | None, model: str, measure: str) -> ApRow:
        """The row of one class (None: the mean), model and measure."""
        wanted = (class_name, model, measure)
        return next(row for row in self.rows if (row.class_name, row.model, row.measure) == wanted)

    def by_class(self, measure: str) -> dict[str | None, tuple[ApRow, ...]]:
        """The rows of one measure by class, the mean (None) last, models in order."""
        found: dict[str | None, list[ApRow]] = {name: [] for name in (*self.classes, None)}
        for row in self.rows:
            if row.measure == measure:
                found[row.class_name].append(row)
        return {name: tuple(rows) for name, rows in found.items()}

    def pairs(self, measure: str) -> dict[tuple[str, str], tuple[ApDifference, ...]]:
        """The differences of one measure by (model, baseline), class by class with the mean last."""
        own = [row for row in self.differences if row.measure == measure]
        names = dict.fromkeys((row.model, row.baseline) for row in own)
        return {pair: tuple(row for row in own if (row.model, row.baseline) == pair) for pair in names}

    def best_model(self, measure: str) -> str:
        """The model with the highest mAP."""
        return max(self.models, key=lambda model: self.row(None, model, measure).ap or 0)


def protocol_of(measure: str) -> str:
    """The protocol in a measure's name: `voc2007` of `AP(voc2007)`."""
    return measure.removeprefix("AP(").removesuffix(")")


def or_none(value: float) -> float | None:
    """None for NaN."""
    return None if math.isnan(value) else float(value)

"""What a few training images a class are worth: AP on the test split against their number."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from .record import Part, Record


class FewShotRow(Part, frozen=True):
    """AP of a probe that has learned from so many examples a class, or the mean over the classes (mAP).

    Attributes
    ----------
    class_name : str or None
        None for the mean.
    measure : str
        As the registry of measures writes it: `AP(voc2007)`.
    shots : int or None
        Positive images drawn of each class; None for the whole training split.
    ap : float or None
        Mean over the draws; None where the test split has no positives and so no AP.
    lo, hi : float or None
        t-interval of that mean over the draws; None of a single draw. The test images are the same in all of
        them, so that it says nothing of what another test split would give.
    positives : float or None
        Training images that show the class, mean over the draws: an image that was drawn for another class
        counts for all that it shows. The mean's is the mean over the same classes.
    """

    probe: str
    class_name: str | None
    measure: str
    shots: int | None
    ap: float | None
    lo: float | None
    hi: float | None
    positives: float | None


class FewShotResult(Record, frozen=True):
    """All rows of one probe: measure by measure, class by class with the mean last, fewest examples first.

    Attributes
    ----------
    probe : str
    of : str
        The <model>/<layer> that it reads.
    kind : str
    C : float or None
        Of the linear fits, the same for every class: few examples cannot choose one.
    split : str
        That is drawn from.
    shots : tuple of int
    repeats, seed : int
        Draws of each number of examples.
    images : {shots, as text: float}
        Training images together, mean over the draws.
    rows : tuple of FewShotRow
        None where there is nothing to draw.
    gaps : tuple of str
        What the draws lack, and why.
    """

    stage: ClassVar[str] = "probe"

    probe: str
    of: str
    kind: str
    C: float | None
    split: str
    shots: tuple[int, ...]
    repeats: int
    seed: int
    images: dict[str, float] = msgspec.field(default_factory=dict)
    rows: tuple[FewShotRow, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures, in order."""
        return tuple(dict.fromkeys(row.measure for row in self.rows))

    @property
    def has_values(self) -> bool:
        """Whether any class has an AP."""
        return any(row.ap is not None for row in self.rows)

    def by_class(self, measure: str) -> dict[str | None, tuple[FewShotRow, ...]]:
        """The rows of one measure by class, the mean (None) last, fewest examples first."""
        found: dict[str | None, list[FewShotRow]] = {}
        for row in self.rows:
            if row.measure == measure:
                found.setdefault(row.class_name, []).append(row)
        return {name: tuple(rows) for name, rows in found.items()}

    def metrics(self) -> dict[str, Any]:
        """What DVC compares: the mAP by measure and number of examples."""
        return {
            measure: {str(row.shots or "all"): row.ap for row in self.by_class(measure)[None]}
            for measure in self.measures
        }

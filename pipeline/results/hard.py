"""What the stage `hard` finds: the classes that are hard for the best model, and what the ranking says.

All that is said is counted: an image is found if it ranks among the first P of its class, where P is the
number of its positives (there, recall equals precision); a false alarm is an absent image among them.
"""

from __future__ import annotations

from typing import ClassVar

from .ap import protocol_of
from .record import Part, Record


class Confusion(Part, frozen=True):
    """Another class in the false alarms: its share of them, and of all images without the class."""

    class_name: str
    share: float
    expected: float


class Group(Part, frozen=True):
    """Positive images that are alike in one respect, and how many of them are found."""

    name: str
    images: int
    found: int


class Influence(Part, frozen=True):
    """Whether a property of the positive images goes with their score.

    `correlation` is Spearman's, over the positives; `clear` says that chance gives a larger one in fewer
    than one of twenty cases.
    """

    groups: tuple[Group, ...]
    correlation: float
    clear: bool


class HardClass(Part, frozen=True):
    """What the images of one class tell about one model.

    Attributes
    ----------
    why : tuple of str
        Why the class is shown.
    ap, lo, hi, chance, over_chance : float or None
        As in `ApRow`.
    gain, gain_lo, gain_hi : float or None
        AP over that of the first model of ap.of (`gain_over`), with its paired interval; None for that model
        itself, and the interval where there are too few positives.
    images : int
        That count for the class; of them `positives` show it.
    found, false_alarms : int
        Positives and absent images among the first `positives`.
    last_place : int
        Of the positive that ranks last.
    confusions : tuple of Confusion
        The classes in the false alarms, the most overrepresented first.
    size, number : Influence or None
        Of the largest object's share of the picture, and of the number of objects; None where unknown.
    sheet : str
        The file name of its picture, in the folder of the stage's reports.
    """

    class_name: str
    model: str
    measure: str
    why: tuple[str, ...]
    ap: float
    lo: float | None
    hi: float | None
    chance: float
    over_chance: float | None
    gain: float | None
    gain_lo: float | None
    gain_hi: float | None
    gain_over: str | None
    images: int
    positives: int
    found: int
    false_alarms: int
    last_place: int
    confusions: tuple[Confusion, ...]
    size: Influence | None
    number: Influence | None
    sheet: str

    @property
    def text(self) -> str:
        """A short text on the class, made from its numbers alone."""
        parts = [self._say_ap(), self._say_gain(), self._say_places(), self._say_confusions()]
        if self.size:
            parts.append(
                _say_influence(self.size, f"how large the largest {self.class_name} is", "large", "small")
            )
        if self.number:
            parts.append(_say_influence(self.number, "how many there are in a picture", "many", "few"))
        return " ".join(part for part in parts if part)

    def _say_ap(self) -> str:
        interval = "" if self.lo is None else f" [{self.lo:.3f}, {self.hi:.3f}]"
        reached = f"{self.model} reaches AP {self.ap:.3f}{interval} ({protocol_of(self.measure)})"
        chance = f"where chance is {self.chance:.3f}"
        if self.over_chance is None:
            return f"{reached} {chance}."
        way = percent(max(self.over_chance, 0))
        return f"{reached} {chance}: {way} of the way from chance to a perfect ranking."

    def _say_gain(self) -> str:
        if self.gain is None or self.gain_lo is None or self.gain_hi is None:
            return ""
        verdict = "beyond noise" if self.gain_lo > 0 or self.gain_hi < 0 else "within noise"
        return (
            f"Over {self.gain_over} it {'gains' if self.gain >= 0 else 'loses'} "
            f"{abs(self.gain):.3f} [{self.gain_lo:+.3f}, {self.gain_hi:+.3f}], {verdict}."
        )

    def _say_places(self) -> str:
        return (
            f"Images that show {self.class_name}: {self.positives}. Found, that is among the first "
            f"{self.positives}: {self.found}; the last comes at place {self.last_place} of {self.images}."
        )

    def _say_confusions(self) -> str:
        if self.false_alarms == 0:
            return "There is no false alarm among the first."
        telling = [c for c in self.confusions if c.share > c.expected][:2]
        said = [
            f"{c.class_name} is in {percent(c.share)} of them "
            f"(in {percent(c.expected)} of all images without {self.class_name})"
            for c in telling
        ]
        found = " and ".join(said) or "no other class is in them more often than in all images"
        return f"False alarms among the first: {self.false_alarms}; {found}."


class HardResult(Record, frozen=True):
    """The classes that are shown; `gaps` says why there are none, or what is not known of them."""

    stage: ClassVar[str] = "hard"

    split: str
    classes: tuple[HardClass, ...]
    gaps: tuple[str, ...] = ()


def percent(share: float) -> str:
    """A share in words, as `42 %`."""
    return f"{100 * share:.0f} %"


def _say_influence(influence: Influence, what: str, more: str, less: str) -> str:
    groups = [f"{group.name}: {group.found} of {group.images}" for group in influence.groups]
    found = f"{'; '.join(groups)} found; rank correlation with the score {influence.correlation:+.2f}"
    if not influence.clear:
        return f"No clear influence of {what} ({found})."
    better = more if influence.correlation > 0 else less
    return f"{what[0].upper()}{what[1:]} matters: {better} is easier ({found})."

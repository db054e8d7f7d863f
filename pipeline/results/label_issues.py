"""What the stage `label_issues` finds: labels that are likely missing or wrong, and how sure that is."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from .record import Part, Record

Kind = Literal["missing", "wrong"]


class Agreeing(Part, frozen=True):
    """A near image of the training split that is labelled as it is suspected; its cosine distance."""

    id: str
    distance: float


class LabelIssue(Part, frozen=True):
    """A label that is likely not right.

    Attributes
    ----------
    kind : str
        `missing`: the image is not labelled with the class, and likely shows it; `wrong`: it is, and likely
        does not.
    probability : float
        That the label is not right, see `ProbeIssues`.
    shown : float
        The calibrated probability that such an image is labelled with the class.
    instead : str or None
        Where every image has one label: the class that the probe takes it for.
    near, agreeing : int
        Of the `near` nearest training images that have a label on the class, how many have the one that is
        suspected.
    nearest : tuple of Agreeing
        The first of those.
    """

    split: str
    id: str
    class_name: str
    kind: Kind
    probability: float
    shown: float
    instead: str | None = None
    near: int = 0
    agreeing: int = 0
    nearest: tuple[Agreeing, ...] = ()


class ClassNoise(Part, frozen=True):
    """What the images that the probe is surest of say of the labels of a class.

    Attributes
    ----------
    positives, negatives : int
        Images that are labelled so.
    missing_at_most : float or None
        Of those that most surely show the class, the share that is not labelled with it.
    wrong_at_most : float or None
        Of those that most surely do not, the share that is.
    """

    split: str
    class_name: str
    positives: int
    negatives: int
    missing_at_most: float | None
    wrong_at_most: float | None


class ListedCount(Part, frozen=True):
    """How long a list is, and what may be expected of it.

    Attributes
    ----------
    labels : int
        That could stand in it: absent ones in `missing`, present ones in `wrong`.
    estimated : float
        The sum of their probabilities: so many of them are not right, if the probabilities hold.
    doubted : int
        Those that are not right with at least the probability from which a label is listed.
    listed : int
        The most probable of these.
    expected : float
        So many of the listed are not right, if the probabilities hold.
    by_chance : float
        So many would be not right among as many labels drawn at random.
    """

    split: str
    kind: Kind
    labels: int
    estimated: float
    doubted: int
    listed: int
    expected: float
    by_chance: float


class ReliabilityBin(Part, frozen=True):
    """Labels told with a probability from `lo` to `hi`: the mean that was told, and the share labelled so."""

    lo: float
    hi: float
    labels: int
    told: float
    found: float


class Calibration(Part, frozen=True):
    """Whether the probabilities that a class is labelled hold, on images that neither probe nor sigmoid saw.

    Attributes
    ----------
    error : float
        The mean distance between `told` and `found` over all labels (expected calibration error).
    log_loss : float
        Mean over labels.
    log_loss_of_shares : float
        That of telling each class's share of the training images, for every image.
    """

    split: str
    error: float
    log_loss: float
    log_loss_of_shares: float
    bins: tuple[ReliabilityBin, ...]


class ProbeIssues(Part, frozen=True):
    """What one probe doubts.

    Its scores of the training images are held out: told by probes that did not learn from them. A sigmoid a
    class makes them probabilities that an image is labelled with the class, which `calibration` checks; the
    rates of wrong labels make of these the probability that a label is not right, which nothing here can
    check: it holds if labels are wrong by chance, in all classes alike.

    Attributes
    ----------
    of : str
        The <model>/<layer> that it reads.
    rates : {split: {kind: float}}
        How often labels are missing where a class is shown, and wrong where it is not: bounds from above, the
        least of any class.
    issues : tuple of LabelIssue
        The most probable first.
    """

    probe: str
    of: str
    kind: Literal["linear", "knn", "zeroshot"]
    rates: dict[str, dict[Kind, float]] = msgspec.field(default_factory=dict)
    counts: tuple[ListedCount, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    classes: tuple[ClassNoise, ...] = ()
    issues: tuple[LabelIssue, ...] = ()

    def of_kind(self, kind: Kind) -> list[LabelIssue]:
        """The issues of one list."""
        return [issue for issue in self.issues if issue.kind == kind]

    def metrics(self) -> dict[str, Any]:
        """What DVC compares."""
        found: dict[str, dict[str, Any]] = {each.split: {} for each in self.counts}
        for count in self.counts:
            found[count.split][count.kind] = count.doubted
        for each in self.calibration:
            found[each.split]["calibration_error"] = each.error
        return found


class LabelConflict(Part, frozen=True):
    """Two images that are the same, or nearly, and that are labelled differently.

    Attributes
    ----------
    similarity : float
        Their cosine similarity; 1 for identical files.
    only_a, only_b : tuple of str
        The classes that the one is labelled with and the other is not; where one is only difficult is no
        difference.
    """

    split_a: str
    id_a: str
    split_b: str
    id_b: str
    similarity: float
    identical_bytes: bool
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


class LabelIssuesResult(Record, frozen=True):
    """Labels that contradict each other, and those that probes doubt.

    Attributes
    ----------
    threshold : float
        The cosine similarity from which two images are taken to be near-duplicates.
    least : float
        The probability from which a label is listed.
    one_label : bool
        Whether every training image has one label: one that is missing is then another that is wrong, and
        stands in one list.
    conflicts : tuple of LabelConflict
        Identical files first, then the most similar ones; of `all_conflicts` the first.
    """

    stage: ClassVar[str] = "label_issues"

    threshold: float
    least: float
    one_label: bool = False
    all_conflicts: int = 0
    conflicts: tuple[LabelConflict, ...] = ()
    probes: tuple[ProbeIssues, ...] = ()
    gaps: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """What DVC compares."""
        probes = {each.probe: each.metrics() for each in self.probes}
        return {"conflicts": self.all_conflicts, "probes": probes} if probes else {}

"""What the stage `probe` tells of its classifiers: how each was made, and what few examples are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal

import msgspec

from ..errors import UserError
from ..files.digests import sha256_of_file
from .few_shot import FewShotResult
from .record import Part, Record, load_record


class ProbedClass(Part, frozen=True):
    """A class of a probe.

    Attributes
    ----------
    C : float or None
        Inverse strength of the penalty; None for a class that was not trained, as all or none of the
        training images show it: its logits are constant. None as well for a kind that has no penalty.
    cv_ap : float or None
        Held-out AP(sklearn); None for a class with fewer than two positive or two negative images, and for a
        kind that was not cross-validated.
    converged : bool
        Whether every fit of the class reached its minimum within its steps.
    texts : tuple of str
        What was asked for the class, in words.
    """

    class_name: str
    C: float | None = None
    cv_ap: float | None = None
    converged: bool = True
    texts: tuple[str, ...] = ()


class TrainedProbe(Part, frozen=True):
    """One probe; a field that its kind knows nothing of has its default.

    Attributes
    ----------
    of : str
        The <model>/<layer> that it reads.
    shared_C : float or None
        What a class takes unless its own data speak for another; None where no class could be
        cross-validated.
    cv_log_loss : {C, as text: float}
        Held-out log-loss, mean over classes.
    k : int or None
        How many neighbors vote.
    temperature : float or None
        Of their votes.
    weights_sha256 : str
        Of the safetensors file beside its logits.
    """

    name: str
    of: str
    classes: tuple[ProbedClass, ...]
    kind: Literal["linear", "knn", "zeroshot"] = "linear"
    shared_C: float | None = None  # noqa: N815 (the field's word)
    cv_log_loss: dict[str, float] = msgspec.field(default_factory=dict)
    k: int | None = None
    temperature: float | None = None
    weights_sha256: str = ""

    @property
    def cv_map(self) -> float | None:
        """Mean of the held-out APs."""
        values = [each.cv_ap for each in self.classes if each.cv_ap is not None]
        return fmean(values) if values else None

    def metrics(self) -> dict[str, Any]:
        """What DVC compares; None where there is no value."""
        if self.kind != "linear":
            return {}
        return {
            "C": {each.class_name: each.C for each in self.classes},
            "cv_ap": {each.class_name: each.cv_ap for each in self.classes},
            "cv_log_loss": self.cv_log_loss,
            "cv_map": self.cv_map,
            "shared_C": self.shared_C,
        }


class ProbeResult(Record, frozen=True):
    """All probes of params.yaml.

    Attributes
    ----------
    few_shot : tuple of FewShotResult
        Of the probes that have `shots`.
    gaps : tuple of str
        What the probes could not learn, and why; those of `few_shot` stand here once more.
    """

    stage: ClassVar[str] = "probe"
    version: ClassVar[int] = 3

    probes: tuple[TrainedProbe, ...]
    few_shot: tuple[FewShotResult, ...] = ()
    gaps: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """By probe: what DVC compares."""
        few = {each.probe: {"few_shot": each.metrics()} for each in self.few_shot}
        return {probe.name: probe.metrics() | few.get(probe.name, {}) for probe in self.probes}


def one_record(parts: Sequence[ProbeResult], few_shot: Sequence[FewShotResult] = ()) -> ProbeResult:
    """The record of several probes."""
    probes = tuple(probe for part in parts for probe in part.probes)
    gaps = [gap for part in parts for gap in part.gaps]
    gaps += dict.fromkeys(gap for each in few_shot for gap in each.gaps)
    return ProbeResult(
        probes=probes,
        few_shot=tuple(few_shot),
        gaps=tuple(gaps) if probes else ("params.yaml names no probe",),
    )


def verify_weights(path: Path, record: Path) -> list[str]:
    """What is damaged in the weights of a probe, by the record at `record`: one line, or none."""
    try:
        written = {probe.name: probe.weights_sha256 for probe in load_record(ProbeResult, record).probes}
    except UserError as error:
        return [f"{path}: nothing to check it by ({error})"]
    return [] if written.get(path.stem) == sha256_of_file(path) else [f"{path}: damaged"]

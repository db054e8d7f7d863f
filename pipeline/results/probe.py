"""What the stage `probe` tells of its classifiers: how each class was regularised, and its held-out AP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from ..errors import UserError
from ..files.digests import sha256_of_file
from .record import Part, Record, load_record


class ProbedClass(Part, frozen=True):
    """A class of a probe.

    Attributes
    ----------
    C : float or None
        Inverse strength of the penalty; None for a class that was not trained, as all or none of the
        training images show it: its logits are constant.
    cv_ap : float or None
        Held-out AP(sklearn); None for a class with fewer than two positive or two negative images.
    converged : bool
        Whether every fit of the class reached its minimum within its steps.
    """

    class_name: str
    C: float | None
    cv_ap: float | None
    converged: bool = True


class TrainedProbe(Part, frozen=True):
    """One probe.

    Attributes
    ----------
    of : str
        The <model>/<layer> that it reads.
    shared_C : float or None
        What a class takes unless its own data speak for another; None where no class could be
        cross-validated.
    cv_log_loss : {C, as text: float}
        Held-out log-loss, mean over classes.
    weights_sha256 : str
        Of the safetensors file beside its logits.
    """

    name: str
    of: str
    classes: tuple[ProbedClass, ...]
    shared_C: float | None  # noqa: N815 (the field's word)
    cv_log_loss: dict[str, float]
    weights_sha256: str = ""

    @property
    def cv_map(self) -> float | None:
        """Mean of the held-out APs."""
        values = [each.cv_ap for each in self.classes if each.cv_ap is not None]
        return fmean(values) if values else None

    def metrics(self) -> dict[str, Any]:
        """What DVC compares; None where there is no value."""
        return {
            "C": {each.class_name: each.C for each in self.classes},
            "cv_ap": {each.class_name: each.cv_ap for each in self.classes},
            "cv_log_loss": self.cv_log_loss,
            "cv_map": self.cv_map,
            "shared_C": self.shared_C,
        }


class ProbeResult(Record, frozen=True):
    """All probes of params.yaml; `gaps` says what they could not learn, and why."""

    stage: ClassVar[str] = "probe"
    version: ClassVar[int] = 2

    probes: tuple[TrainedProbe, ...]
    gaps: tuple[str, ...] = ()


def one_record(parts: Sequence[ProbeResult]) -> ProbeResult:
    """The record of several probes."""
    probes = tuple(probe for part in parts for probe in part.probes)
    gaps = tuple(gap for part in parts for gap in part.gaps)
    return ProbeResult(probes=probes, gaps=gaps if probes else ("params.yaml names no probe",))


def verify_weights(path: Path, record: Path) -> list[str]:
    """What is damaged in the weights of a probe, by the record at `record`: one line, or none."""
    try:
        written = {probe.name: probe.weights_sha256 for probe in load_record(ProbeResult, record).probes}
    except UserError as error:
        return [f"{path}: nothing to check it by ({error})"]
    return [] if written.get(path.stem) == sha256_of_file(path) else [f"{path}: damaged"]

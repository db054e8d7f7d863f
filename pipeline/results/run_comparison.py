"""What sets runs apart: parameters, and measures with the differences that are beyond noise."""

from __future__ import annotations

from typing import Any, ClassVar

from .record import Part, Record


class ComparedRun(Part, frozen=True):
    """A run, and whether it can be compared with the baseline.

    Attributes
    ----------
    name, source : str
        As it was asked for, and where it was read.
    split, images, classes
        What it was measured on; None where its records do not say.
    comparable : bool
        Whether that is the same as the baseline's, as far as is known.
    why : str or None
        Why it is not, or why it cannot be paired.
    has_params : bool
        Whether its parameters are known.
    """

    name: str
    source: str
    split: str | None
    images: int | None
    classes: int | None
    comparable: bool = True
    why: str | None = None
    has_params: bool = True


class ChangedParameter(Part, frozen=True):
    """A parameter that decides a result and is not the same in all runs; a run that lacks it is left out."""

    key: str
    values: dict[str, Any]


class MeasuredInRun(Part, frozen=True):
    """A value with its 95 % interval, as the run recorded it.

    Attributes
    ----------
    measure : str
        As the registry of measures writes it: `AP(voc2007)`, `P@4`, `CKA`.
    of : str
        A model or probe, a layer, or two layers with ` ~ ` between them.
    class_name : str or None
        None for the mean over classes, and where there is nothing but the whole.
    run : str
    value, lo, hi : float or None
    """

    measure: str
    of: str
    class_name: str | None
    run: str
    value: float | None
    lo: float | None
    hi: float | None


class RunDifference(Part, frozen=True):
    """The value of a run minus that of the baseline.

    Attributes
    ----------
    measure, of, class_name, run
        As in `MeasuredInRun`.
    difference : float or None
    lo, hi : float or None
        Of a paired interval; None where nothing is paired, or there are too few positives.
    paired : bool
        Whether both were measured anew on the same resamples of the same images.
    sign : int
        1 if it is above, -1 if it is below what noise explains, else 0: the paired interval leaves zero out,
        or, where nothing is paired, the two runs' own intervals lie apart.
    """

    measure: str
    of: str
    class_name: str | None
    run: str
    difference: float | None
    lo: float | None
    hi: float | None
    paired: bool
    sign: int


class RunComparison(Record, frozen=True):
    """Runs beside a baseline.

    Attributes
    ----------
    baseline : str
    runs : tuple of ComparedRun
        The baseline first.
    parameters : tuple of ChangedParameter
    values : tuple of MeasuredInRun
    differences : tuple of RunDifference
    remarks : tuple of str
        What could not be read or paired, and why.
    """

    stage: ClassVar[str] = "ap"

    baseline: str
    runs: tuple[ComparedRun, ...]
    parameters: tuple[ChangedParameter, ...]
    values: tuple[MeasuredInRun, ...]
    differences: tuple[RunDifference, ...]
    remarks: tuple[str, ...] = ()

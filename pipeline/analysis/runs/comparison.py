"""Runs beside a baseline: what was changed, and which measures are beyond noise after it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ...errors import UserError
from ...params import Params
from ...params.recipes import HOW
from ...results.run_comparison import (
    ChangedParameter,
    ComparedRun,
    MeasuredInRun,
    RunComparison,
    RunDifference,
)
from .pairs import Difference, What, pair_name, paired_differences
from .recorded_run import RecordedRun

_EVERY_QUERY = "all"  # the group in the record of retrieval


def compare_runs(baseline: RecordedRun, others: Sequence[RecordedRun]) -> RunComparison:
    """Compare runs with a baseline, paired by image wherever both have stored rows of the same images.

    AP is measured anew from the test logits, on the same resamples for both runs; retrieval from the stored
    neighbors, query by query; CKA from the stored layers. Where rows are not stored recorded values stand,
    and a difference counts as beyond noise only if the two intervals lie apart. A run of other images, labels
    or classes has values and no differences.

    Raises
    ------
    UserError
        If a run has no results, or a record is damaged.
    """
    values = {run.name: list(recorded_values(run)) for run in (baseline, *others)}
    told, remarks = [_told(baseline)], []
    differences: list[RunDifference] = []
    for run in others:
        order, comparable, why = _order(baseline, run)
        told.append(_told(run, comparable, why))
        paired: dict[What, Difference] = {}
        if order is not None:
            paired, unpaired = paired_differences(baseline, run, order)
            remarks += unpaired
        if comparable:
            differences += _differences(values[baseline.name], values[run.name], paired)
    known = {run.name: run.params for run in (baseline, *others)}
    return RunComparison(
        baseline=baseline.name,
        runs=tuple(told),
        parameters=tuple(changed_parameters({name: params for name, params in known.items() if params})),
        values=tuple(value for each in values.values() for value in each),
        differences=tuple(differences),
        remarks=tuple(remarks),
    )


def recorded_values(run: RecordedRun) -> Iterator[MeasuredInRun]:
    """What a run's records tell; `UserError` where there are none."""
    if run.ap is None and run.retrieval is None and run.likeness is None:
        raise UserError(f"{run.name}: {run.source} has no results of ap, retrieval or compare")
    for row in run.ap.rows if run.ap else ():
        yield MeasuredInRun(
            measure=row.measure,
            of=row.model,
            class_name=row.class_name,
            run=run.name,
            value=row.ap,
            lo=row.lo,
            hi=row.hi,
        )
    for pair in run.likeness.pairs if run.likeness else ():
        yield MeasuredInRun(
            measure=pair.measure,
            of=pair_name(pair.first, pair.second),
            class_name=None,
            run=run.name,
            value=pair.value,
            lo=pair.lo,
            hi=pair.hi,
        )
    for group in run.retrieval.groups if run.retrieval else ():
        if group.group == _EVERY_QUERY and not group.is_class:
            yield MeasuredInRun(
                measure=group.measure,
                of=group.layer,
                class_name=None,
                run=run.name,
                value=group.value,
                lo=group.lo,
                hi=group.hi,
            )


def changed_parameters(params: Mapping[str, Params]) -> Iterator[ChangedParameter]:
    """The parameters that decide a result and differ between runs, defaults filled in."""
    flat = {run: dict(_flat(msgspec.to_builtins(each))) for run, each in params.items()}
    for key in dict.fromkeys(key for each in flat.values() for key in each):
        values = {run: each[key] for run, each in flat.items() if key in each}
        how = any(fnmatch.fnmatch(key, pattern) for pattern in HOW)
        some = next(iter(values.values()))
        if not how and (len(values) < len(flat) or any(value != some for value in values.values())):
            yield ChangedParameter(key=key, values=values)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield key, value
        return
    for name, inner in value.items():
        yield from _flat(inner, f"{key}.{name}" if key else str(name))


def _told(run: RecordedRun, comparable: bool = True, why: str | None = None) -> ComparedRun:
    split = run.ap.split if run.ap else run.retrieval.split if run.retrieval else None
    return ComparedRun(
        name=run.name,
        source=run.source,
        split=split,
        images=len(run.images.ids) if run.images else run.ap.images if run.ap else None,
        classes=len(run.images.classes) if run.images else len(run.ap.classes) if run.ap else None,
        comparable=comparable,
        why=why,
        has_params=run.params is not None,
    )


def _order(baseline: RecordedRun, run: RecordedRun) -> tuple[np.ndarray | None, bool, str | None]:
    """The rows of `run` that are the baseline's images; whether they can be compared; what is in the way."""
    if baseline.images and run.images:
        try:
            return baseline.images.order_of(run.images), True, None
        except ValueError as error:
            return None, False, str(error)
    if baseline.ap and run.ap:
        if baseline.ap.classes != run.ap.classes:
            return None, False, "other classes"
        if baseline.ap.images != run.ap.images:
            return None, False, f"other test images ({run.ap.images}, not {baseline.ap.images})"
    lacking = run if baseline.images else baseline
    return None, True, f"no rows of {lacking.name} are stored here: nothing is paired"


def _differences(
    first: Sequence[MeasuredInRun], second: Sequence[MeasuredInRun], paired: Mapping[What, Difference]
) -> Iterator[RunDifference]:
    of_baseline = {(value.measure, value.of, value.class_name): value for value in first}
    for value in second:
        what = value.measure, value.of, value.class_name
        if (before := of_baseline.get(what)) is None:
            continue
        if what in paired:
            difference, lo, hi = paired[what]
            sign = 0 if lo is None or hi is None else int(lo > 0) - int(hi < 0)
        else:
            difference, lo, hi, sign = _by_themselves(before, value)
        yield RunDifference(
            measure=value.measure,
            of=value.of,
            class_name=value.class_name,
            run=value.run,
            difference=difference,
            lo=lo,
            hi=hi,
            paired=what in paired,
            sign=sign,
        )


def _by_themselves(before: MeasuredInRun, value: MeasuredInRun) -> tuple[float | None, None, None, int]:
    """Of two values that nothing pairs: the difference, and whether their intervals lie apart."""
    if before.value is None or value.value is None:
        return None, None, None, 0
    sign = 0
    if None not in (before.lo, before.hi, value.lo, value.hi):
        sign = int(value.lo > before.hi) - int(value.hi < before.lo)  # type: ignore[operator]
    return value.value - before.value, None, None, sign

"""Runs beside a baseline, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...measures.average_precision import meaning_of
from ...results.ap import LEVEL, MEAN
from ...results.run_comparison import ComparedRun, MeasuredInRun, RunComparison, RunDifference
from ..ap_tables import escaped, table_line

_NONE = "–"
_MARKS = {0: "", 1: " ▲", -1: " ▼"}


def run_markdown(found: RunComparison) -> str:
    """The runs, the parameters that differ, a table a measure, the classes that are beyond noise, remarks."""
    parts = [f"# Runs beside {escaped(found.baseline)}", "", *_runs(found), *_parameters(found)]
    for measure in dict.fromkeys(value.measure for value in found.values):
        parts += _table(found, measure)
    parts += [*_footnotes(found), ""]
    return "\n".join(parts)


def _runs(found: RunComparison) -> Iterator[str]:
    yield table_line(["run", "read from", "split", "images", "classes"])
    yield "|---|---|---|---:|---:|"
    for run in found.runs:
        cells = [run.name, run.source, run.split, run.images, run.classes]
        yield table_line([_NONE if cell is None else escaped(str(cell)) for cell in cells])
    yield ""
    for run in found.runs:
        if run.why:
            yield f"- {_why(run)}"
    if any(run.why for run in found.runs):
        yield ""


def _why(run: ComparedRun) -> str:
    if run.comparable:
        return f"**{escaped(run.name)}**: {escaped(run.why or '')}"
    return f"**{escaped(run.name)}** cannot be compared with the baseline: {escaped(run.why or '')}"


def _parameters(found: RunComparison) -> Iterator[str]:
    yield "## Parameters that differ"
    yield ""
    names = [run.name for run in found.runs if run.has_params]
    if len(names) < len(found.runs):
        unknown = ", ".join(escaped(run.name) for run in found.runs if not run.has_params)
        yield f"Not known of {unknown}: there is no params.yaml."
        yield ""
    if not found.parameters:
        yield "None that decides a result." if len(names) > 1 else ""
        yield ""
        return
    yield table_line(["parameter", *map(escaped, names)])
    yield "|---|" + "---|" * len(names)
    for changed in found.parameters:
        yield table_line([escaped(changed.key), *(_value(changed.values, name) for name in names)])
    yield ""


def _value(values: dict[str, Any], run: str) -> str:
    if run not in values:
        return _NONE
    value = values[run]
    return escaped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _table(found: RunComparison, measure: str) -> Iterator[str]:
    """The means or wholes by run, then the classes that a run gains or loses."""
    values = {(v.of, v.run): v for v in found.values if v.measure == measure and v.class_name is None}
    rows = [d for d in found.differences if d.measure == measure]
    means = {(d.of, d.run): d for d in rows if d.class_name is None}
    names = [run.name for run in found.runs]
    meaning = meaning_of(measure)
    yield f"## {f'{MEAN}, ' if meaning else ''}{escaped(measure)}{f': {meaning}' if meaning else ''}"
    yield ""
    yield table_line(["", *map(escaped, names)])
    yield "|---|" + "---:|" * len(names)
    for of in dict.fromkeys(of for of, _ in values):
        cells = [_cell(values.get((of, run)), means.get((of, run))) for run in names]
        yield table_line([escaped(of), *cells])
    yield ""
    by_class: dict[tuple[str, str], list[RunDifference]] = {}
    for row in rows:
        if row.class_name is not None:
            by_class.setdefault((row.run, row.of), []).append(row)
    for (run, of), classes in by_class.items():
        yield f"- {escaped(of)}, **{escaped(run)}**: {_classes(classes)}"
    if by_class:
        yield ""


def _cell(value: MeasuredInRun | None, difference: RunDifference | None) -> str:
    if value is None or value.value is None:
        return _NONE
    text = f"{value.value:.3f}"
    if value.lo is not None and value.hi is not None:
        text += f" [{value.lo:.3f}, {value.hi:.3f}]"
    if difference is None or difference.difference is None:
        return text
    text += f"; {'' if difference.paired else '~'}{difference.difference:+.3f}"
    if difference.lo is not None and difference.hi is not None:
        text += f" [{difference.lo:+.3f}, {difference.hi:+.3f}]"
    return text + _MARKS[difference.sign]


def _classes(rows: list[RunDifference]) -> str:
    """The classes beyond noise, the largest difference first, and how many are not told apart."""
    told = []
    for sign, word in ((1, "above"), (-1, "below")):
        beyond = [(row.difference or 0, row.class_name or "") for row in rows if row.sign == sign]
        beyond.sort(reverse=sign > 0)
        named = ", ".join(f"{escaped(name)} {difference:+.3f}" for difference, name in beyond)
        told.append(f"{word} the baseline beyond noise: {named or 'none'}")
    undecided = sum(row.difference is not None and row.sign == 0 for row in rows)
    return "; ".join([*told, f"not told apart: {undecided}"])


def _footnotes(found: RunComparison) -> Iterator[str]:
    yield (
        "Brackets: 95 % intervals. Behind the semicolon: the difference from the baseline, with its paired "
        "interval over the same images; ▲ and ▼: that leaves zero out."
    )
    if any(not row.paired for row in found.differences):
        yield ""
        yield "~: not paired; ▲ and ▼ then mean that the two runs' own intervals lie apart."
    classes = {row.class_name for row in found.differences} - {None}
    if classes:
        yield ""
        yield (
            f"Among {len(classes)} classes, about {(1 - LEVEL) * len(classes):.1f} would seem to differ "
            "beyond noise even between equal models."
        )
    for remark in found.remarks:
        yield ""
        yield f"- {escaped(remark)}"

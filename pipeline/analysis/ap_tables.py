"""Average precision as text: CSV for programs, Markdown and LaTeX for people, numbers for `dvc metrics`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..measures.ranking import precision_recall_curve
from ..params import Protocol
from .ap_comparison import FEWEST_POSITIVES, LEVEL, MEAN, ApComparison, ApRow, DifferenceRow

PROTOCOL_MEANING: dict[Protocol, str] = {
    "voc2007": "mean of the interpolated precision at recall 0, 0.1, …, 1 (VOC devkit 2007)",
    "area": "area under the interpolated precision-recall curve (VOC devkit since 2010)",
    "sklearn": "area under the precision-recall curve without interpolation (scikit-learn)",
}
_NONE = "–"  # no AP


def ap_csv(comparison: ApComparison) -> str:
    """One row a class, model and protocol; empty cells where there is no AP."""
    columns = ["class", "model", "protocol", "ap", "lo", "hi", "positives", "chance", "over_chance"]
    return _csv(
        columns,
        (
            [
                row.class_name,
                row.model,
                row.protocol,
                *map(_cell, (row.ap, row.lo, row.hi)),
                row.positives,
                *map(_cell, (row.chance, row.over_chance)),
            ]
            for row in comparison.rows
        ),
    )


def differences_csv(comparison: ApComparison) -> str:
    """class, protocol, model, baseline, difference, lo, hi; a positive difference is in favour of `model`."""
    return _csv(
        ["class", "protocol", "model", "baseline", "difference", "lo", "hi"],
        (
            [
                row.class_name,
                row.protocol,
                row.model,
                row.baseline,
                *map(_cell, (row.difference, row.lo, row.hi)),
            ]
            for row in comparison.differences
        ),
    )


def curves_csv(scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    """class, recall, precision: the curve of every class of one model, for `dvc plots`."""
    rows = []
    for c, name in enumerate(classes):
        recall, precision = precision_recall_curve(scores[:, c], labels[:, c])
        rows += [[name, _cell(r), _cell(p)] for r, p in zip(recall, precision, strict=True)]
    return _csv(["class", "recall", "precision"], rows)


def ap_metrics(comparison: ApComparison) -> dict[str, Any]:
    """Per protocol, each model's AP by class and mAP with interval, and how many classes each pair parts."""
    metrics: dict[str, Any] = {}
    for protocol in comparison.protocols:
        models: dict[str, Any] = {}
        for model in comparison.models:
            rows = [r for r in comparison.rows if (r.protocol, r.model) == (protocol, model)]
            by_class = {row.class_name: _number(row.ap) for row in rows if row.class_name != MEAN}
            mean = comparison.row(MEAN, model, protocol)
            interval = {"lo": _number(mean.lo), "hi": _number(mean.hi)}
            models[model] = {"mAP": _number(mean.ap), **interval, "classes": by_class}
        differences = {}
        for (model, baseline), pair in _pairs(comparison, protocol).items():
            overall = next(row for row in pair if row.class_name == MEAN)
            differences[f"{model} - {baseline}"] = {
                "mAP": _number(overall.difference),
                "lo": _number(overall.lo),
                "hi": _number(overall.hi),
                "gains": len(gains(pair)),
                "losses": len(losses(pair)),
            }
        metrics[protocol] = {"models": models, "differences": differences}
    return metrics


def ap_markdown(comparison: ApComparison) -> str:
    """One table a protocol, then what separates each pair of models."""
    parts = ["# Average precision", ""]
    for protocol in comparison.protocols:
        parts += [f"## Protocol `{protocol}`: {PROTOCOL_MEANING[protocol]}", ""]
        header = ["class", "positives", "chance", *comparison.models]
        body = [
            [name, str(rows[0].positives), _short(rows[0].chance), *map(_markdown_cell, _marked(rows))]
            for name, rows in _by_class(comparison, protocol)
        ]
        parts += [
            _markdown_line(header),
            "|---|" + "---:|" * (len(header) - 1),
            *map(_markdown_line, body),
            "",
        ]
        for (model, baseline), pair in _pairs(comparison, protocol).items():
            parts.append(f"- {_sentence(model, baseline, pair)}")
        parts.append("")
    return "\n".join([*parts, _footnote(comparison), ""])


def ap_latex(comparison: ApComparison) -> str:
    r"""One `table` a protocol, to be \input in a document that uses booktabs."""
    parts = []
    for protocol in comparison.protocols:
        models = " & ".join(map(_tex, comparison.models))
        parts += [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{Average precision (protocol \texttt{{{protocol}}}: "
            rf"{_tex(PROTOCOL_MEANING[protocol])}) with 95\,\% bootstrap intervals over images.}}",
            rf"  \label{{tab:ap-{protocol}}}",
            rf"  \begin{{tabular}}{{lrr{'r' * len(comparison.models)}}}",
            r"    \toprule",
            rf"    class & positives & chance & {models} \\",
            r"    \midrule",
        ]
        for name, rows in _by_class(comparison, protocol):
            if name == MEAN:
                parts.append(r"    \midrule")
            cells = [_tex(name), str(rows[0].positives), _tex(_short(rows[0].chance))]
            parts.append("    " + " & ".join([*cells, *map(_latex_cell, _marked(rows))]) + r" \\")
        parts += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""]
    return "\n".join(parts)


def gains(rows: Iterable[DifferenceRow]) -> list[str]:
    """The classes of one pair of models whose AP rises beyond noise, the largest rise first."""
    found = [row for row in rows if row.class_name != MEAN and row.lo > 0]
    return [row.class_name for row in sorted(found, key=lambda row: -row.difference)]


def losses(rows: Iterable[DifferenceRow]) -> list[str]:
    """The classes of one pair of models whose AP falls beyond noise, the largest fall first."""
    found = [row for row in rows if row.class_name != MEAN and row.hi < 0]
    return [row.class_name for row in sorted(found, key=lambda row: row.difference)]


def _sentence(model: str, baseline: str, rows: Sequence[DifferenceRow]) -> str:
    mean = next(row for row in rows if row.class_name == MEAN)
    up, down = gains(rows), losses(rows)
    undecided = sum(not math.isnan(row.difference) for row in rows) - 1 - len(up) - len(down)
    parts = [
        f"gain beyond noise: {', '.join(up) or 'none'}",
        f"loss beyond noise: {', '.join(down) or 'none'}",
    ]
    parts.append(f"not told apart: {undecided}")
    difference = f"{mean.difference:+.3f} [{mean.lo:+.3f}, {mean.hi:+.3f}]"
    return f"**{model}** over **{baseline}**: mAP {difference}; {'; '.join(parts)}"


def _footnote(comparison: ApComparison) -> str:
    rows = comparison.rows
    lines = [
        "Brackets: 95 % bootstrap intervals over images; those of a difference are paired. Bold: the highest "
        "of its class.",
        "Chance: the share of positives among the images that count for the class. Difficult-only labels are "
        "left out; images with equal scores count as one threshold.",
    ]
    if any(math.isnan(row.ap) for row in rows):
        lines.append(f"{_NONE}: no positives, so no AP; such a class is not part of mAP.")
    if any(math.isnan(row.lo) and not math.isnan(row.ap) for row in rows):
        lines.append(f"Fewer than {FEWEST_POSITIVES} positives: no interval, and no verdict on a difference.")
    if len(comparison.models) > 1:
        by_chance = (1 - LEVEL) * len(comparison.classes)
        lines.append(
            f"Among {len(comparison.classes)} classes, about {by_chance:.1f} would seem to gain or lose "
            "beyond noise even between equal models."
        )
    return "\n\n".join(lines)


def _by_class(comparison: ApComparison, protocol: Protocol) -> list[tuple[str, list[ApRow]]]:
    rows = [row for row in comparison.rows if row.protocol == protocol]
    names = [*comparison.classes, MEAN]
    return [(name, [row for row in rows if row.class_name == name]) for name in names]


def _pairs(comparison: ApComparison, protocol: Protocol) -> dict[tuple[str, str], list[DifferenceRow]]:
    pairs: dict[tuple[str, str], list[DifferenceRow]] = {}
    for row in comparison.differences:
        if row.protocol == protocol:
            pairs.setdefault((row.model, row.baseline), []).append(row)
    return pairs


def _marked(rows: Sequence[ApRow]) -> list[tuple[ApRow, bool]]:
    """Each row, and whether it is the highest of several."""
    highest = max((row.ap for row in rows if not math.isnan(row.ap)), default=math.nan)
    return [(row, len(rows) > 1 and row.ap == highest) for row in rows]


def _markdown_cell(marked: tuple[ApRow, bool]) -> str:
    row, best = marked
    if math.isnan(row.ap):
        return _NONE
    interval = "" if math.isnan(row.lo) else f" [{row.lo:.3f}, {row.hi:.3f}]"
    return f"{'**' if best else ''}{row.ap:.3f}{'**' if best else ''}{interval}"


def _latex_cell(marked: tuple[ApRow, bool]) -> str:
    row, best = marked
    if math.isnan(row.ap):
        return "--"
    ap = rf"\textbf{{{row.ap:.3f}}}" if best else f"{row.ap:.3f}"
    return ap if math.isnan(row.lo) else rf"{ap} {{\scriptsize [{row.lo:.3f}, {row.hi:.3f}]}}"


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", _NONE: "--"}
    special |= {"…": r"\dots{}", **{character: "\\" + character for character in "&%$#_{}"}}
    return "".join(special.get(character, character) for character in text)


def _short(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:.3f}"


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()

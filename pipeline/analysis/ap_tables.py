"""Average precision as text: CSV for programs, Markdown and LaTeX for people, numbers for `dvc metrics`.

All but the curves are renderings of the record; the mean over classes stands there as mAP.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..files.csv_file import csv_text, decimals
from ..measures.average_precision import meaning_of
from ..measures.ranking import precision_recall_curve
from ..results.ap import FEWEST_POSITIVES, LEVEL, MEAN, ApDifference, ApResult, ApRow, protocol_of

_NONE = "–"  # no AP


def ap_csv(result: ApResult) -> str:
    """One row a class, model and protocol; empty cells where there is no AP; `is_mean` is 1 or 0."""
    return csv_text(
        ["class", "model", "protocol", "ap", "lo", "hi", "positives", "chance", "over_chance", "is_mean"],
        (
            [
                _name(row),
                row.model,
                protocol_of(row.measure),
                *map(decimals, (row.ap, row.lo, row.hi)),
                row.positives,
                *map(decimals, (row.chance, row.over_chance)),
                int(row.class_name is None),
            ]
            for row in result.rows
        ),
    )


def differences_csv(result: ApResult) -> str:
    """One row a class, protocol and pair; a positive difference is in favour of `model`."""
    return csv_text(
        ["class", "protocol", "model", "baseline", "difference", "lo", "hi", "is_mean"],
        (
            [
                _name(row),
                protocol_of(row.measure),
                row.model,
                row.baseline,
                *map(decimals, (row.difference, row.lo, row.hi)),
                int(row.class_name is None),
            ]
            for row in result.differences
        ),
    )


def curves_csv(scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    """class, recall, precision: the curve of every class of one model, for `dvc plots`."""
    rows = []
    for c, name in enumerate(classes):
        recall, precision = precision_recall_curve(scores[:, c], labels[:, c])
        rows += [[name, decimals(r), decimals(p)] for r, p in zip(recall, precision, strict=True)]
    return csv_text(["class", "recall", "precision"], rows)


def ap_metrics(result: ApResult) -> dict[str, Any]:
    """Per protocol, each model's AP by class and mAP with interval, and how many classes each pair parts."""
    metrics: dict[str, Any] = {}
    for measure in result.measures:
        models: dict[str, Any] = {}
        for row in (row for row in result.rows if row.measure == measure):
            entry = models.setdefault(row.model, {"classes": {}})
            if row.class_name is None:
                entry |= {MEAN: _rounded(row.ap), "lo": _rounded(row.lo), "hi": _rounded(row.hi)}
            else:
                entry["classes"][row.class_name] = _rounded(row.ap)
        differences = {}
        for (model, baseline), pair in result.pairs(measure).items():
            differences[f"{model} - {baseline}"] = {
                MEAN: _rounded(pair[-1].difference),
                "lo": _rounded(pair[-1].lo),
                "hi": _rounded(pair[-1].hi),
                "gains": len(gains(pair)),
                "losses": len(losses(pair)),
            }
        metrics[protocol_of(measure)] = {"models": models, "differences": differences}
    return metrics


def ap_markdown(result: ApResult) -> str:
    """One table a protocol, then what separates each pair of models, then what is missing."""
    parts = ["# Average precision", ""]
    for measure in result.measures if result.rows else ():
        parts += [f"## Protocol `{protocol_of(measure)}`: {meaning_of(measure)}", ""]
        header = ["class", "positives", "chance", *map(escaped, result.models)]
        parts += [table_line(header), "|---|" + "---:|" * (len(header) - 1)]
        for name, rows in result.by_class(measure).items():
            about = [escaped(result.called(name)), str(rows[0].positives), _short(rows[0].chance)]
            parts.append(table_line([*about, *map(_markdown_cell, _marked(rows))]))
        parts.append("")
        for (model, baseline), pair in result.pairs(measure).items():
            parts.append(f"- {_sentence(model, baseline, pair)}")
        parts.append("")
    told = _footnote(result) if result.rows else "\n\n".join(map(escaped, result.gaps))
    return "\n".join([*parts, told, ""])


def ap_latex(result: ApResult) -> str:
    r"""One `table` a protocol, to be \input in a document that uses booktabs."""
    parts = [] if result.rows else [f"% {' '.join(gap.split())}" for gap in result.gaps]
    for measure in result.measures if result.rows else ():
        protocol = protocol_of(measure)
        models = " & ".join(map(_tex, result.models))
        parts += [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{Average precision (protocol \texttt{{{protocol}}}: "
            rf"{_tex(meaning_of(measure))}) with 95\,\% bootstrap intervals over images.}}",
            rf"  \label{{tab:ap-{protocol}}}",
            rf"  \begin{{tabular}}{{lrr{'r' * len(result.models)}}}",
            r"    \toprule",
            rf"    class & positives & chance & {models} \\",
            r"    \midrule",
        ]
        for name, rows in result.by_class(measure).items():
            if name is None:
                parts.append(r"    \midrule")
            cells = [_tex(result.called(name)), str(rows[0].positives), _tex(_short(rows[0].chance))]
            parts.append("    " + " & ".join([*cells, *map(_latex_cell, _marked(rows))]) + r" \\")
        parts += [r"    \bottomrule", r"  \end{tabular}"]
        parts += [rf"  \par\smallskip {{\footnotesize {_tex(note)}\par}}" for note in result.notes]
        parts += [r"\end{table}", ""]
    return "\n".join(parts)


def gains(rows: Iterable[ApDifference]) -> list[str]:
    """The classes of one pair of models whose AP rises beyond noise, the largest rise first."""
    return _beyond_noise(rows, 1)


def losses(rows: Iterable[ApDifference]) -> list[str]:
    """The classes of one pair of models whose AP falls beyond noise, the largest fall first."""
    return _beyond_noise(rows, -1)


def _beyond_noise(rows: Iterable[ApDifference], sign: int) -> list[str]:
    found = [(row.difference or 0, row.class_name) for row in rows if row.sign == sign]
    return [name for _, name in sorted(found, key=lambda each: -sign * each[0]) if name is not None]


def _sentence(model: str, baseline: str, rows: Sequence[ApDifference]) -> str:
    up, down = gains(rows), losses(rows)
    undecided = sum(row.difference is not None for row in rows[:-1]) - len(up) - len(down)
    parts = [
        f"gain beyond noise: {', '.join(map(escaped, up)) or 'none'}",
        f"loss beyond noise: {', '.join(map(escaped, down)) or 'none'}",
        f"not told apart: {undecided}",
    ]
    mean = rows[-1]
    if mean.difference is None:
        return f"**{escaped(model)}** over **{escaped(baseline)}**: no class has an AP"
    interval = "" if mean.lo is None else f" [{mean.lo:+.3f}, {mean.hi:+.3f}]"
    difference = f"{mean.difference:+.3f}{interval}"
    return f"**{escaped(model)}** over **{escaped(baseline)}**: mAP {difference}; {'; '.join(parts)}"


def _footnote(result: ApResult) -> str:
    lines = [
        "Brackets: 95 % bootstrap intervals over images; those of a difference are paired. Bold: the highest "
        "of its class.",
        "Chance: the share of positives among the images that count for the class. Difficult-only labels are "
        "left out; images with equal scores count as one threshold.",
    ]
    if any(row.ap is None for row in result.rows):
        lines.append(f"{_NONE}: no positives, so no AP; such a class is not part of mAP.")
    if any(row.lo is None and row.ap is not None for row in result.rows):
        lines.append(f"Fewer than {FEWEST_POSITIVES} positives: no interval, and no verdict on a difference.")
    if len(result.models) > 1:
        by_chance = (1 - LEVEL) * len(result.classes)
        lines.append(
            f"Among {len(result.classes)} classes, about {by_chance:.1f} would seem to gain or lose "
            "beyond noise even between equal models."
        )
    lines += map(escaped, result.notes)
    return "\n\n".join(lines)


def _name(row: ApRow | ApDifference) -> str:
    return MEAN if row.class_name is None else row.class_name


def _marked(rows: Sequence[ApRow]) -> list[tuple[ApRow, bool]]:
    """Each row, and whether it is the highest of several."""
    highest = max((row.ap for row in rows if row.ap is not None), default=None)
    return [(row, len(rows) > 1 and row.ap == highest) for row in rows]


def _markdown_cell(marked: tuple[ApRow, bool]) -> str:
    row, best = marked
    if row.ap is None:
        return _NONE
    interval = "" if row.lo is None else f" [{row.lo:.3f}, {row.hi:.3f}]"
    return f"{'**' if best else ''}{row.ap:.3f}{'**' if best else ''}{interval}"


def _latex_cell(marked: tuple[ApRow, bool]) -> str:
    row, best = marked
    if row.ap is None:
        return "--"
    ap = rf"\textbf{{{row.ap:.3f}}}" if best else f"{row.ap:.3f}"
    return ap if row.lo is None else rf"{ap} {{\scriptsize [{row.lo:.3f}, {row.hi:.3f}]}}"


def table_line(cells: Iterable[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """A name in Markdown: no line end, no cell, no emphasis, no HTML."""
    return re.sub(r"[\\`*_\[\]<>|&$~#]", r"\\\g<0>", " ".join(text.split()))


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", _NONE: "--"}
    special |= {"…": r"\dots{}", **{character: "\\" + character for character in "&%$#_{}"}}
    special |= {character: f"{{{character}}}" for character in "[]*"}  # behind \\\\ they are its arguments
    return "".join(special.get(character, character) for character in " ".join(text.split()))


def _short(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)

"""The few-shot results as a table for programs."""

from __future__ import annotations

from collections.abc import Sequence

from ..files.csv_file import csv_text, decimals
from ..results.ap import MEAN, protocol_of
from ..results.few_shot import FewShotResult


def few_shot_csv(results: Sequence[FewShotResult]) -> str:
    """One row a probe, protocol, class and number of examples; `is_mean` is 1 or 0.

    `shots` is `all` for the whole training split; `positives` and `images` are means over the draws.
    """
    return csv_text(
        ["probe", "class", "protocol", "shots", "ap", "lo", "hi", "draws", "positives", "images", "is_mean"],
        (
            [
                result.probe,
                MEAN if row.class_name is None else row.class_name,
                protocol_of(row.measure),
                row.shots or "all",
                *map(decimals, (row.ap, row.lo, row.hi)),
                result.repeats if row.shots else 1,
                *map(decimals, (row.positives, result.images[str(row.shots or "all")])),
                int(row.class_name is None),
            ]
            for result in results
            for row in result.rows
        ),
    )

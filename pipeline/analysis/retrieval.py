"""How well a representation finds images that share a label, beside what chance would find."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..files.atomic import atomic_write

NDCG_DEPTH = 100
_COLUMNS = ["representation", "group", "measure", "value", "lo", "hi", "chance", "queries"]
_BLOCK = 512


@dataclasses.dataclass(frozen=True)
class QueryMeasures:
    """A measure of every query, and its expected value if the database came in random order.

    NaN where a query has no value: it shows no class, or (for what divides by the best that can be found) no
    other image shares a label with it.

    Attributes
    ----------
    values, chance : {measure: (Q,) float64}
    """

    values: Mapping[str, np.ndarray]
    chance: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class GroupMeasure:
    """The mean of a measure over a group of queries, its 95 % interval, and chance."""

    group: str
    measure: str
    value: float
    lo: float
    hi: float
    chance: float
    queries: int


def measure_queries(labels: np.ndarray, neighbors: np.ndarray, k: int) -> QueryMeasures:
    """P@k, mAP@k, Jaccard@k and NDCG@100 of every image as a query against the others.

    Two images are relevant to each other if they share a class (label 1; one with only difficult instances
    counts as absent). P@k: the share of relevant ones among the first k. AP@k: the mean of P@i over the ranks
    i <= k that are relevant, over min(k, R) with R relevant ones in all. Jaccard@k: the mean of shared over
    united classes. NDCG@100 (Järvelin & Kekäläinen 2002): gain = number of shared classes, discount =
    1 / log2(1 + rank), over that of the best order. Chance is computed, not simulated: the expectation over
    all orders of the others.

    Parameters
    ----------
    labels : (N, C) int8
    neighbors : (N, m) int
        Nearest first, without the query; m >= min(max(k, 100), N - 1).
    k : int
    """
    present = (labels == 1).astype(np.float32)
    total = len(present)
    deep = min(NDCG_DEPTH, total - 1)
    names = [f"P@{k}", f"mAP@{k}", f"Jaccard@{k}", f"NDCG@{NDCG_DEPTH}"]
    values = {name: np.full(total, np.nan) for name in names}
    chance = {name: np.full(total, np.nan) for name in names}
    discounts = 1 / np.log2(np.arange(2, deep + 2))
    ranks = np.arange(1, k + 1)
    sizes = present.sum(axis=1)
    for start in range(0, total, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, total))
        shared = present[rows] @ present.T
        shared[np.arange(len(rows)), rows] = 0  # the query itself
        united = sizes[rows, None] + sizes - shared
        jaccard = np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)
        jaccard[np.arange(len(rows)), rows] = 0
        found = neighbors[rows]
        gains = np.take_along_axis(shared, found[:, :deep], axis=1)
        hits = np.take_along_axis(shared, found[:, :k], axis=1) > 0
        relevant = (shared > 0).sum(axis=1)
        best = -np.sort(-shared, axis=1)[:, :deep] @ discounts

        asks = sizes[rows] > 0
        answerable = asks & (relevant > 0)
        rate = relevant / (total - 1)
        rate_given_one = np.maximum(relevant - 1, 0) / max(total - 2, 1)
        most = np.where(answerable, np.minimum(relevant, k), np.nan)
        precision = hits.cumsum(axis=1) / ranks
        expected = (rate[:, None] + (ranks - 1) * (rate * rate_given_one)[:, None]) / ranks
        near = np.take_along_axis(jaccard, found[:, :k], axis=1)
        ideal = np.where(answerable, best, np.nan)
        for name, value, by_chance in [
            (names[0], np.where(asks, hits.mean(axis=1), np.nan), np.where(asks, rate, np.nan)),
            (names[1], (precision * hits).sum(axis=1) / most, expected.sum(axis=1) / most),
            (
                names[2],
                np.where(asks, near.mean(axis=1), np.nan),
                np.where(asks, jaccard.sum(axis=1) / (total - 1), np.nan),
            ),
            (names[3], gains @ discounts / ideal, shared.sum(axis=1) / (total - 1) * discounts.sum() / ideal),
        ]:
            values[name][rows] = value
            chance[name][rows] = by_chance
    return QueryMeasures(values, chance)


def query_groups(labels: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The groups of queries to report: all, with and without person, and each class that is shown."""
    present = labels == 1
    groups = {"all": np.ones(len(labels), bool)}
    if "person" in classes:
        person = present[:, classes.index("person")]
        groups |= {"with person": person, "without person": ~person}
    groups |= {name: present[:, column] for column, name in enumerate(classes)}
    return {name: members for name, members in groups.items() if members.any()}


def summarize(
    measures: QueryMeasures, groups: Mapping[str, np.ndarray], resamples: int, seed: int
) -> list[GroupMeasure]:
    """Means over groups of queries with percentile bootstrap intervals over the queries.

    Every measure and every representation of one seed is resampled with the same draws, so that differences
    between them can be taken draw by draw. The database is held fixed.

    Parameters
    ----------
    measures : QueryMeasures
    groups : {group: (Q,) bool}
    resamples, seed : int
    """
    total = len(next(iter(measures.values.values())))
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, total))
    for number in range(resamples):
        drawn[number] = np.bincount(rng.integers(0, total, total), minlength=total)
    result = []
    for group, members in groups.items():
        for name, values in measures.values.items():
            counted = members & ~np.isnan(values)
            if not counted.any():
                continue
            weights = drawn[:, counted].sum(axis=1)
            means = (drawn[:, counted] @ values[counted])[weights > 0] / weights[weights > 0]
            lo, hi = np.percentile(means, [2.5, 97.5]) if len(means) else (np.nan, np.nan)
            by_chance = measures.chance[name][counted].mean()
            value = values[counted].mean()
            result.append(
                GroupMeasure(
                    group, name, float(value), float(lo), float(hi), float(by_chance), int(counted.sum())
                )
            )
    return result


def write_retrieval(results: Mapping[str, Sequence[GroupMeasure]], path: Path | str) -> None:
    """Write {representation: measures} as CSV, values to six decimals."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for representation, rows in results.items():
            for row in rows:
                numbers = [f"{number:.6f}" for number in (row.value, row.lo, row.hi, row.chance)]
                writer.writerow([representation, row.group, row.measure, *numbers, row.queries])

"""How well a representation finds images that share a label, beside what chance would find."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..errors import UserError
from ..files.csv_file import decimals, write_csv
from ..files.hints import some_of
from ..labels import Labels
from ..measures.bootstrap import bootstrap_counts
from ..measures.jaccard_at import JaccardAt
from ..measures.mean_average_precision_at import MeanAveragePrecisionAt
from ..measures.ndcg import NDCG
from ..measures.precision_at import PrecisionAt
from ..measures.retrieval import RetrievalMeasure, measure_queries
from ..params import Neighbors
from ..results.retrieval import MeasuredGroup, Near, RetrievalResult, ShownQuery
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from .neighbor_graph import how_searched
from .shown_queries import choose_queries

_COLUMNS = ["representation", "group", "measure", "value", "lo", "hi", "chance", "queries", "is_class"]
_BLOCK = 64  # resamples at a time


@dataclasses.dataclass(frozen=True)
class QueryGroup:
    """Queries whose mean is reported: those of a class, or others; `rows` are theirs, ascending."""

    name: str
    is_class: bool
    rows: np.ndarray


def measure_retrieval(
    files: Mapping[str, FeatureFile], graphs: Mapping[str, NeighborFile], split: str, asked: Neighbors
) -> RetrievalResult:
    """Ask every layer the same queries, and measure what each finds for all images.

    Parameters
    ----------
    files, graphs : {<model>/<layer>: file}
        Of the same split, with the same images.
    split : str
    asked : Neighbors

    Raises
    ------
    UserError
        If the files do not hold the same images.
    """
    layers = tuple(files)
    gaps: tuple[str, ...]
    if not layers:
        gaps = ("neighbors.of names no layer: nothing to show or measure",)
        return RetrievalResult(split=split, metric=None, layers=(), gaps=gaps)
    features = check_same_images(list(files.values()))
    metric, depth = graphs[layers[0]].metric, min(graph.depth for graph in graphs.values())
    if len(features) < 2:
        gaps = (f"{split} has only {len(features)} image: there is no other to find",)
        return RetrievalResult(split=split, metric=metric, layers=layers, gaps=gaps)

    labels = Labels.dense(features.labels)
    chosen = choose_queries(labels, features.classes, asked.queries, asked.seed)
    measures, unmeasured = _measures(features, labels, asked.k, depth)
    groups = query_groups(labels, features.classes)
    shown: list[dict[str, tuple[Near, ...]]] = [{} for _ in chosen]
    measured: list[MeasuredGroup] = []
    for layer, graph in graphs.items():
        rows, distances = graph.nearest(split, split)
        for (query, _), found in zip(chosen, shown, strict=True):
            found[layer] = near(features, rows[query, : asked.k], distances[query])
        of_queries = measure_queries(labels, rows, measures)
        measured += summarize(layer, of_queries, groups, asked.bootstrap, asked.seed)
    lacking = {str(measure) for measure in measures} - {row.measure for row in measured}
    gaps = (
        *_gaps_of_queries(features, labels, asked, len(chosen)),
        *unmeasured,
        *(f"{name}: no two images of {split} share a class" for name in sorted(lacking)),
        *(sentence for graph in graphs.values() for sentence in how_searched(graph)),
    )
    queries = tuple(
        ShownQuery(id=str(features.ids[row]), drawn_for=name, labels=features.labels_of(row), neighbors=found)
        for (row, name), found in zip(chosen, shown, strict=True)
    )
    return RetrievalResult(
        split=split, metric=metric, layers=layers, queries=queries, groups=tuple(measured), gaps=gaps
    )


def check_same_images(files: Sequence[FeatureFile]) -> FeatureFile:
    """The first of some feature files, once it is sure that all hold the same images in the same order.

    Raises
    ------
    UserError
        Naming the first one that does not.
    """
    for file in files[1:]:
        if file.ids_digest != files[0].ids_digest:
            problem = f"{file.path}: {len(file)} images, not the {len(files[0])} of {files[0].path}"
            raise UserError(f"{problem}; every model must be asked about the same", rerun="extract")
    return files[0]


def query_groups(labels: Labels | np.ndarray, classes: Sequence[str]) -> list[QueryGroup]:
    """The groups of queries to report: all, with and without person, and each class that is shown."""
    by_class = Labels.taken(labels).images_of_classes()
    every = np.arange(len(labels))
    groups = [QueryGroup("all", False, every)]
    if "person" in classes:
        person = by_class[classes.index("person")]
        groups += [
            QueryGroup("with person", False, person),
            QueryGroup("without person", False, np.delete(every, person)),
        ]
    groups += [QueryGroup(name, True, rows) for name, rows in zip(classes, by_class, strict=False)]
    return [group for group in groups if len(group.rows)]


def summarize(
    layer: str,
    measured: Mapping[str, tuple[np.ndarray, np.ndarray]],
    groups: Sequence[QueryGroup],
    resamples: int,
    seed: int,
) -> list[MeasuredGroup]:
    """Means over groups of queries with percentile bootstrap intervals over the queries.

    Every measure and every layer of one seed is resampled with the same draws, so that differences between
    them can be taken draw by draw. The database is held fixed.

    Parameters
    ----------
    layer : str
    measured : {measure: (values, chance)}
        (N,) float64 each, NaN where a query has none.
    groups : sequence of QueryGroup
    resamples, seed : int

    Returns
    -------
    list of MeasuredGroup
        Without those in which no query has a value.
    """
    cases = [
        (group, name, counted)
        for group in groups
        for name, (values, _) in measured.items()
        if len(counted := group.rows[~np.isnan(values[group.rows])])
    ]
    if not cases:
        return []
    sums, sizes = _resampled(
        [counted for *_, counted in cases], [measured[name][0] for _, name, _ in cases], resamples, seed
    )
    rows = []
    for (group, name, counted), total, size in zip(cases, sums, sizes, strict=True):
        values, chance = (each[counted] for each in measured[name])
        means = total[size > 0] / size[size > 0]
        lo, hi = map(float, np.percentile(means, [2.5, 97.5])) if len(means) else (None, None)
        rows.append(
            MeasuredGroup(
                layer=layer,
                group=group.name,
                is_class=group.is_class,
                measure=name,
                value=float(values.mean()),
                lo=lo,
                hi=hi,
                chance=float(chance.mean()),
                queries=len(values),
            )
        )
    return rows


def _resampled(
    rows: Sequence[np.ndarray], values: Sequence[np.ndarray], resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of some rows of some (N,) values their sum, and how many they are, in each resample: (n, B) each."""
    total = len(values[0])
    shape = (len(rows), total)
    bounds = np.cumsum([0, *map(len, rows)])
    columns = np.concatenate(rows)
    taken = np.concatenate([each[own] for each, own in zip(values, rows, strict=True)])
    # a thousand classes of one image in a thousand are sparse
    weighed = sparse.csr_array((taken, columns, bounds), shape)
    weights = sparse.csr_array((np.ones(len(columns)), columns, bounds), shape)
    draws = bootstrap_counts(total, resamples, seed)
    blocks = (draws[:, start : start + _BLOCK].astype(np.float64) for start in range(0, resamples, _BLOCK))
    sums, sizes = zip(*((weighed @ block, weights @ block) for block in blocks), strict=True)
    return np.hstack(sums), np.hstack(sizes)


def write_retrieval(result: RetrievalResult, path: Path | str) -> None:
    """Write the measures as CSV, values to six decimals."""
    rows = [
        [
            *(row.layer, row.group, row.measure),
            *map(decimals, (row.value, row.lo, row.hi, row.chance)),
            *(row.queries, row.is_class),
        ]
        for row in result.groups
    ]
    write_csv(path, _COLUMNS, rows)


def retrieval_metrics(result: RetrievalResult) -> dict[str, Any]:
    """{layer: {group: {measure: value}}} of the groups that are no class, to six decimals."""
    metrics: dict[str, Any] = {}
    for row in result.groups:
        if not row.is_class:
            group = metrics.setdefault(row.layer, {}).setdefault(row.group, {})
            group[row.measure] = round(row.value, 6)
    return metrics


def near(features: FeatureFile, rows: np.ndarray, distances: np.ndarray) -> tuple[Near, ...]:
    """Some neighbors of an image, nearest first, as a record has them."""
    return tuple(
        # by way of text: the shortest decimal that is this float32, not the longer one that is its double
        Near(rank=rank, id=str(features.ids[row]), distance=float(str(near)), labels=features.labels_of(row))
        for rank, (row, near) in enumerate(zip(rows, distances, strict=False), start=1)
    )


def _measures(
    features: FeatureFile, labels: Labels, k: int, depth: int
) -> tuple[list[RetrievalMeasure], list[str]]:
    """What can be measured, and what cannot."""
    if not labels.shown().any():
        return [], [f"no image of {features.split} shows a class: what is found cannot be measured"]
    wanted = [PrecisionAt(k), MeanAveragePrecisionAt(k), JaccardAt(k), NDCG(100)]
    possible = [measure for measure in wanted if measure.depth(len(features)) <= depth]
    gaps = [
        f"{measure} needs neighbors.depth of {measure.depth(len(features))}, but it is {depth}"
        for measure in wanted
        if measure not in possible
    ]
    return possible, gaps


def _gaps_of_queries(features: FeatureFile, labels: Labels, asked: Neighbors, chosen: int) -> list[str]:
    shown = labels.count(1) > 0
    gaps = []
    if chosen < asked.queries:
        kind = "queries of different classes" if shown.any() else "queries"
        gaps.append(f"neighbors.queries asks for {asked.queries} {kind}, but the images give {chosen}")
    if asked.k > len(features) - 1:
        gaps.append(f"neighbors.k asks for {asked.k}, but a query has only {len(features) - 1} others")
    lacking = [features.classes[c] for c in np.flatnonzero(~shown)]
    if shown.any() and lacking:
        gaps.append(f"no image of {features.split} shows {some_of(lacking)}: no queries of it")
    return gaps

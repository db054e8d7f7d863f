"""Differences between two runs on the same images: both are measured anew on the same resamples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from ...errors import UserError
from ...labels import Labels
from ...measures import parse_measure
from ...measures.average_precision import AP
from ...measures.bootstrap import bootstrap_counts
from ...measures.cka import CKA
from ...measures.representation import Likeness, Representation
from ...measures.retrieval import RetrievalMeasure, measure_queries
from ...results.ap import LEVEL
from ...store.open_layer import open_layer
from ..ap_comparison import compare_models
from ..layers.intervals import interval, resampled
from ..model_scores import load_scores
from ..neighbor_graph import open_graph
from .recorded_run import RecordedRun

What = tuple[str, str, str | None]  # the measure, what it is of, and the class
Difference = tuple[float | None, float | None, float | None]  # with the ends of its interval
Found = tuple[dict[What, Difference], list[str]]  # and what could not be paired, and why


def paired_differences(baseline: RecordedRun, run: RecordedRun, order: np.ndarray) -> Found:
    """AP, retrieval and CKA of `run` minus those of `baseline`, with paired intervals.

    Parameters
    ----------
    order : (N,) int
        The rows of `run` that are the images of `baseline`.
    """
    differences: dict[What, Difference] = {}
    remarks: list[str] = []
    for pair in (_precision, _retrieval, _likeness):
        for what, measure in pair(baseline, run, order):
            try:
                differences |= measure()
            except UserError as error:
                remarks.append(f"{what}: not paired: {error}")
    return differences, remarks


def _precision(
    baseline: RecordedRun, run: RecordedRun, order: np.ndarray
) -> Iterator[tuple[str, Callable[[], dict[What, Difference]]]]:
    """Every model and probe that both runs have."""
    ap, other = baseline.ap, run.ap
    if ap is None or other is None:
        return
    measures = [measure for measure in map(parse_measure, ap.measures) if str(measure) in other.measures]

    def measured(name: str) -> dict[What, Difference]:
        scores, labels = _scores(baseline, name)
        compared = compare_models(
            {"baseline": scores, "run": _scores(run, name)[0][order]},
            labels,
            ap.classes,
            split=ap.split,
            measures=[measure for measure in measures if isinstance(measure, AP)],
            resamples=ap.resamples,
            seed=ap.seed,
        )
        rows = compared.differences
        return {(row.measure, name, row.class_name): (row.difference, row.lo, row.hi) for row in rows}

    for name in ap.models:
        if name in other.models:
            yield f"{run.name}: {name}", functools.partial(measured, name)


def _scores(run: RecordedRun, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The (N, C) logits of a model or probe, and the labels."""
    assert run.params is not None  # its images are known from it
    with run.named():
        found = load_scores([name], run.params, run.project)
        run.check_images(found.ids)
    return found.scores[name], found.labels


def _retrieval(
    baseline: RecordedRun, run: RecordedRun, order: np.ndarray
) -> Iterator[tuple[str, Callable[[], dict[What, Difference]]]]:
    """Every layer that both runs have."""
    retrieval, other = baseline.retrieval, run.retrieval
    if retrieval is None or other is None or baseline.params is None:
        return
    asked = baseline.params.neighbors
    names = {row.measure for row in retrieval.groups} & {row.measure for row in other.groups}
    measures = map(parse_measure, sorted(names))
    of_queries = [measure for measure in measures if isinstance(measure, RetrievalMeasure)]

    def measured(layer: str) -> dict[What, Difference]:
        first, second = (_by_query(each, layer, of_queries) for each in (baseline, run))
        counts = bootstrap_counts(len(order), asked.bootstrap, asked.seed)
        gained = {name: second[name][order] - values for name, values in first.items()}
        return {(name, layer, None): _mean(values, counts) for name, values in gained.items()}

    for layer in retrieval.layers:
        if layer in other.layers:
            yield f"{run.name}: {layer}", functools.partial(measured, layer)


def _by_query(run: RecordedRun, layer: str, measures: list[RetrievalMeasure]) -> dict[str, np.ndarray]:
    """The (N,) values of every query by measure, NaN where it has none."""
    assert run.params is not None
    with run.named():
        split = run.params.dataset.test
        file, name = open_layer(layer, split, run.params, run.project)
        run.check_images(file.ids)
        neighbors, _ = open_graph(run.project.neighbors(layer), [file], name).nearest(split, split)
        found = measure_queries(Labels.dense(file.labels), neighbors, measures)
    return {name: values for name, (values, _) in found.items()}


def _likeness(
    baseline: RecordedRun, run: RecordedRun, order: np.ndarray
) -> Iterator[tuple[str, Callable[[], dict[What, Difference]]]]:
    """The CKA of every two layers that both runs have compared."""
    compared, other = baseline.likeness, run.likeness
    if compared is None or other is None or baseline.params is None:
        return
    asked = baseline.params.compare

    def measured(first: str, second: str) -> dict[What, Difference]:
        own = _cka(baseline, first, second, np.arange(len(order)))
        new = _cka(run, first, second, order)
        gained, influences = new.value - own.value, new.influences - own.influences
        drawn = resampled(np.array([gained]), influences[:, None], asked.bootstrap, asked.seed)
        name = pair_name(first, second)
        return {(CKA.name, name, None): (gained, *interval(drawn)) if np.isfinite(gained) else (None,) * 3}

    for pair in compared.pairs:
        if pair.measure == CKA.name and other.pair(pair.first, pair.second, pair.measure):
            what = f"{run.name}: {pair_name(pair.first, pair.second)}"
            yield what, functools.partial(measured, pair.first, pair.second)


def pair_name(first: str, second: str) -> str:
    """What two layers are called together, in whatever order."""
    return " ~ ".join(sorted((first, second)))


def _cka(run: RecordedRun, first: str, second: str, order: np.ndarray) -> Likeness:
    assert run.params is not None
    sides = []
    for layer in (first, second):
        with run.named():
            file, name = open_layer(layer, run.params.dataset.test, run.params, run.project)
            run.check_images(file.ids)
            rows = file.layer(name)
        same = np.array_equal(order, np.arange(len(rows)))
        vectors = rows if same else rows[order]  # a memory map as long as it can be one
        sides.append(CKA().prepare(Representation(vectors, np.empty((len(order), 0), np.int64))))
    return CKA().compare(*sides)


def _mean(values: np.ndarray, counts: np.ndarray) -> Difference:
    """The mean of what is not NaN among (N,) values, with the middle 95 % of its (N, B) resamples."""
    known = ~np.isnan(values)
    if not known.any():
        return None, None, None
    sizes = counts[known].sum(axis=0, dtype=np.float64)
    means = (values[known] @ counts[known].astype(np.float64))[sizes > 0] / sizes[sizes > 0]
    lo, hi = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(values[known].mean()), float(lo), float(hi)

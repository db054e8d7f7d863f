"""Retrieval measures against scikit-learn, plain loops, simulation and the published chance levels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from pool5.analysis.retrieval import measure_queries, query_groups, summarize, write_retrieval

CLASSES = ("cat", "dog", "person")


def random_case(seed: int, rows: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1], (rows, 3), p=[0.6, 0.05, 0.35]).astype(np.int8)
    order = np.argsort(rng.random((rows, rows)) + 10 * np.eye(rows), axis=1)[:, :-1]
    return labels, order


def by_loop(labels: np.ndarray, order: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """P@k, mAP@k and Jaccard@k by their definitions, a query at a time, with sets."""
    shown = [set(np.flatnonzero(row == 1).tolist()) for row in labels]
    out = {name: np.full(len(labels), np.nan) for name in (f"P@{k}", f"mAP@{k}", f"Jaccard@{k}")}
    for q, own in enumerate(shown):
        if not own:
            continue
        relevant = [bool(own & shown[i]) for i in order[q]]
        out[f"P@{k}"][q] = np.mean(relevant[:k])
        out[f"Jaccard@{k}"][q] = np.mean([len(own & shown[i]) / len(own | shown[i]) for i in order[q][:k]])
        total = sum(relevant)
        if total:
            terms = [sum(relevant[: i + 1]) / (i + 1) for i in range(k) if relevant[i]]
            out[f"mAP@{k}"][q] = sum(terms) / min(k, total)
    return out


@pytest.mark.parametrize("k", [1, 4, 10])
def test_measures_equal_their_definitions(k):
    labels, order = random_case(0)
    measured = measure_queries(labels, order, k).values
    for name, expected in by_loop(labels, order, k).items():
        np.testing.assert_allclose(measured[name], expected, atol=1e-6)


def test_ndcg_equals_scikit_learn():
    labels, order = random_case(1)
    measured = measure_queries(labels, order, 4).values["NDCG@100"]
    present = labels == 1
    for q in range(len(labels)):
        gains = (present[q] & present[order[q]]).sum(axis=1)
        if gains.any():
            expected = ndcg_score([gains], [-np.arange(len(gains))], k=100, ignore_ties=True)
            assert measured[q] == pytest.approx(expected, abs=1e-6)
        else:
            assert np.isnan(measured[q])


def test_chance_is_what_random_orders_give_on_average():
    labels, _ = random_case(2, rows=60)
    rng = np.random.default_rng(0)
    sums: dict[str, np.ndarray] = {}
    for _ in range(400):
        order = np.argsort(rng.random((60, 60)) + 10 * np.eye(60), axis=1)[:, :-1]
        measures = measure_queries(labels, order, 4)
        for name, values in measures.values.items():
            sums[name] = sums.get(name, 0) + values / 400
    for name, simulated in sums.items():
        assert np.nanmean(simulated) == pytest.approx(np.nanmean(measures.chance[name]), abs=0.003)
        np.testing.assert_allclose(simulated, measures.chance[name], atol=0.1)


def test_chance_on_voc_2007_is_as_published(shared: Path):
    folder = shared / "data/voc2007-labels/VOCdevkit/VOC2007/ImageSets/Main"
    columns, classes = [], []
    for path in sorted(folder.glob("*_test.txt")):
        classes.append(path.name.removesuffix("_test.txt"))
        columns.append([int(line.split()[1]) for line in path.read_text().splitlines()])
    labels = np.array(columns, np.int8).T
    assert labels.shape == (4952, 20)
    neighbors = np.tile(np.arange(1, 101), (4952, 1))
    measures = measure_queries(labels, neighbors, 4)
    chance = measures.chance["P@4"]
    groups = query_groups(labels, classes)
    assert np.nanmean(chance) == pytest.approx(0.22, abs=0.006)
    assert np.nanmean(chance[groups["with person"]]) == pytest.approx(0.44, abs=0.006)
    assert np.nanmean(chance[groups["without person"]]) == pytest.approx(0.08, abs=0.006)


def test_a_perfect_order_scores_one():
    labels = np.repeat(np.eye(3, dtype=np.int8) * 2 - 1, 20, axis=0)
    present = labels == 1
    shared = (present[:, None] & present[None]).sum(axis=2) - 10 * np.eye(60)
    order = np.argsort(-shared, axis=1, kind="stable")[:, :-1]
    measures = measure_queries(labels, order, 4)
    for values in measures.values.values():
        np.testing.assert_allclose(values, 1)


def test_intervals_hold_the_mean_and_shrink_with_more_queries():
    widths = []
    for rows in (100, 1600):
        labels, order = random_case(3, rows)
        groups = {"all": np.ones(rows, bool)}
        (row,) = [
            r
            for r in summarize(measure_queries(labels, order[:, :100], 4), groups, 500, 0)
            if r.measure == "P@4"
        ]
        assert row.lo < row.value < row.hi
        widths.append(row.hi - row.lo)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)


def test_groups_are_reported_with_their_queries_and_person_apart(tmp_path):
    labels, order = random_case(4)
    groups = query_groups(labels, CLASSES)
    assert list(groups) == ["all", "with person", "without person", "cat", "dog", "person"]
    results = {"net/fc7": summarize(measure_queries(labels, order, 4), groups, 50, 0)}
    write_retrieval(results, tmp_path / "a.csv")
    write_retrieval(
        {"net/fc7": summarize(measure_queries(labels, order, 4), groups, 50, 0)}, tmp_path / "b.csv"
    )
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert list(rows[0]) == [
        *("representation", "group", "measure", "value", "lo", "hi", "chance", "queries"),
    ]
    cats = next(row for row in rows if (row["group"], row["measure"]) == ("cat", "P@4"))
    assert int(cats["queries"]) == int((labels[:, 0] == 1).sum())

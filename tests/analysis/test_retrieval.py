"""Retrieval over all images: groups, intervals, published chance levels, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pool5.analysis.retrieval import measure_retrieval, query_groups, retrieval_metrics, summarize
from pool5.errors import UserError
from pool5.measures.precision_at import PrecisionAt
from pool5.measures.retrieval import measure_queries
from pool5.params import Neighbors
from pool5.project import Project
from pool5.results.retrieval import RetrievalResult
from tests.stages.small_project import put_graph, put_split

CLASSES = ("cat", "dog", "person")
P4 = [PrecisionAt(4)]


def random_case(seed: int, rows: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1], (rows, 3), p=[0.6, 0.05, 0.35]).astype(np.int8)
    order = np.argsort(rng.random((rows, rows)) + 10 * np.eye(rows), axis=1)[:, :-1]
    return labels, order


def measured(
    folder: Path, labels: np.ndarray, classes: tuple[str, ...] = CLASSES, depth: int = 100, **asked: int
) -> RetrievalResult:
    """What is found of random vectors with these labels."""
    project = Project(folder)
    vectors = np.random.default_rng(0).normal(size=(len(labels), 8))
    file = put_split(project, "test", vectors, labels, classes)
    graph = put_graph(project, [file], depth=depth)
    settings = Neighbors(of=("net/fc",), bootstrap=20, depth=depth, **asked)
    return measure_retrieval({"net/fc": file}, {"net/fc": graph}, "test", settings)


def test_chance_on_voc_2007_is_as_published(shared: Path):
    folder = shared / "data/voc2007-labels/VOCdevkit/VOC2007/ImageSets/Main"
    columns, classes = [], []
    for path in sorted(folder.glob("*_test.txt")):
        classes.append(path.name.removesuffix("_test.txt"))
        columns.append([int(line.split()[1]) for line in path.read_text().splitlines()])
    labels = np.array(columns, np.int8).T
    assert labels.shape == (4952, 20)
    of_queries = measure_queries(labels, np.tile(np.arange(1, 101), (4952, 1)), P4)
    groups = query_groups(labels, classes)
    chance = {row.group: row.chance for row in summarize("net/fc7", of_queries, groups, 1, 0)}
    assert chance["all"] == pytest.approx(0.22, abs=0.006)
    assert chance["with person"] == pytest.approx(0.44, abs=0.006)
    assert chance["without person"] == pytest.approx(0.08, abs=0.006)


def test_intervals_hold_the_mean_and_shrink_with_more_queries():
    widths = []
    for rows in (100, 1600):
        labels, order = random_case(3, rows)
        (row, *_) = summarize("net/fc7", measure_queries(labels, order, P4), query_groups(labels, ()), 500, 0)
        assert row.lo < row.value < row.hi
        widths.append(row.hi - row.lo)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)


def test_intervals_are_those_of_a_bootstrap_by_loop():
    labels, order = random_case(5, 40)
    of_queries = measure_queries(labels, order, P4)
    values = of_queries["P@4"][0]
    rng = np.random.default_rng(7)
    drawn = [values[rng.integers(0, 40, 40)] for _ in range(100)]
    expected = np.percentile([np.nanmean(each) for each in drawn], [2.5, 97.5])
    (row, *_) = summarize("net/fc7", of_queries, query_groups(labels, CLASSES), 100, 7)
    np.testing.assert_allclose([row.lo, row.hi], expected, rtol=1e-12)


def test_groups_are_reported_with_their_queries_and_person_apart():
    labels, order = random_case(4)
    groups = query_groups(labels, CLASSES)
    assert [group.name for group in groups] == [
        *("all", "with person", "without person", "cat", "dog", "person"),
    ]
    rows = summarize("net/fc7", measure_queries(labels, order, P4), groups, 50, 0)
    cats = next(row for row in rows if row.group == "cat")
    assert cats.queries == (labels[:, 0] == 1).sum()


def test_a_class_named_all_does_not_take_the_place_of_the_figures_over_all(tmp_path):
    labels = np.where(np.random.default_rng(0).random((30, 2)) < 0.5, 1, -1)
    result = measured(tmp_path, labels, ("all", "dining table"))
    rows = [row for row in result.groups if row.group == "all" and row.measure == "P@4"]
    assert [row.is_class for row in rows] == [False, True]
    assert rows[0].value != rows[1].value
    assert set(retrieval_metrics(result)["net/fc"]) == {"all"}
    assert retrieval_metrics(result)["net/fc"]["all"]["P@4"] == round(rows[0].value, 6)


def test_without_labels_queries_are_shown_nothing_is_measured_and_the_gap_says_why(tmp_path):
    result = measured(tmp_path, np.empty((10, 0)), ())
    assert [query.drawn_for for query in result.queries] == [None] * 3
    assert all(len(query.neighbors["net/fc"]) == 4 for query in result.queries)
    assert result.groups == ()
    assert result.gaps == ("no image of test shows a class: what is found cannot be measured",)


def test_fewer_classes_than_queries_are_said(tmp_path):
    result = measured(tmp_path, np.ones((10, 1)), ("cat",))
    assert len(result.queries) == 1
    assert result.gaps == (
        "neighbors.queries asks for 3 queries of different classes, but the images give 1",
    )


def test_a_class_that_no_image_shows_is_said(tmp_path):
    labels = np.where(np.random.default_rng(0).random((40, 3)) < 0.5, 1, -1)
    labels[:, 1] = -1
    result = measured(tmp_path, labels, queries=2)
    assert result.gaps == ("no image of test shows dog: no queries of it",)


def test_one_image_has_no_neighbors(tmp_path):
    result = measured(tmp_path, np.ones((1, 3)))
    assert (result.queries, result.groups) == ((), ())
    assert result.gaps == ("test has only 1 image: there is no other to find",)


def test_three_images_give_what_there_is(tmp_path):
    result = measured(tmp_path, np.eye(3) * 2 - 1, queries=3)
    assert [len(query.neighbors["net/fc"]) for query in result.queries] == [2, 2, 2]
    assert {row.measure for row in result.groups} == {"P@4", "Jaccard@4"}
    assert result.gaps == (
        "neighbors.k asks for 4, but a query has only 2 others",
        "NDCG@100: no two images of test share a class",
        "mAP@4: no two images of test share a class",
    )


def test_a_measure_deeper_than_the_graph_is_left_out_and_said(tmp_path):
    labels = np.where(np.random.default_rng(0).random((40, 3)) < 0.5, 1, -1)
    result = measured(tmp_path, labels, depth=10, queries=1)
    assert {row.measure for row in result.groups} == {"P@4", "mAP@4", "Jaccard@4"}
    assert result.gaps == ("NDCG@100 needs neighbors.depth of 39, but it is 10",)


def test_no_layer_is_a_gap():
    result = measure_retrieval({}, {}, "test", Neighbors())
    assert (result.layers, result.metric) == ((), None)
    assert result.gaps == ("neighbors.of names no layer: nothing to show or measure",)


def test_models_with_other_images_are_refused(tmp_path):
    files = [
        put_split(Project(tmp_path / name), "test", np.ones((rows, 4)), np.ones((rows, 3)))
        for name, rows in (("a", 5), ("b", 4))
        if not (tmp_path / name).mkdir()
    ]
    graph = put_graph(Project(tmp_path), files[:1])
    with pytest.raises(UserError, match="4 images, not the 5 of") as caught:
        measure_retrieval(
            dict(zip("ab", files, strict=True)), {"a": graph, "b": graph}, "test", Neighbors(of=("a", "b"))
        )
    assert caught.value.rerun == "extract"

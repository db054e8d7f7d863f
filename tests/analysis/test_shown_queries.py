"""Which queries are shown, and the lists as CSV."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from pool5.analysis.shown_queries import choose_queries, write_neighbors
from pool5.results.retrieval import Near, RetrievalResult, ShownQuery

CLASSES = ("cat", "dog", "person", "sofa")


def random_labels(seed: int, rows: int = 80) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random((rows, 4)) < 0.35, 1, -1).astype(np.int8)


@pytest.mark.parametrize("seed", range(20))
def test_queries_are_of_different_classes_and_share_none(seed):
    labels = random_labels(seed)
    chosen = choose_queries(labels, CLASSES, 3, seed)
    assert len({name for _, name in chosen}) == 3
    assert len({row for row, _ in chosen}) == 3
    for row, name in chosen:
        assert labels[row, CLASSES.index(name)] == 1
        assert not any(labels[row, CLASSES.index(other)] == 1 for _, other in chosen if other != name)


def test_a_seed_draws_the_same_queries_and_another_seed_others():
    labels = random_labels(0)
    assert choose_queries(labels, CLASSES, 3, 5) == choose_queries(labels, CLASSES, 3, 5)
    assert len({tuple(choose_queries(labels, CLASSES, 3, seed)) for seed in range(10)}) > 5


def test_of_fewer_classes_there_are_as_many_queries_as_classes():
    labels = np.full((10, 4), -1, np.int8)
    labels[:, 1] = 1
    assert [name for _, name in choose_queries(labels, CLASSES, 3, 0)] == ["dog"]


@pytest.mark.parametrize("classes", [(), CLASSES])
def test_without_labels_any_images_are_drawn_and_a_seed_draws_the_same(classes):
    labels = np.zeros((10, len(classes)), np.int8)
    chosen = choose_queries(labels, classes, 3, 5)
    assert len({row for row, _ in chosen}) == 3
    assert {name for _, name in chosen} == {None}
    assert chosen == choose_queries(labels, classes, 3, 5) != choose_queries(labels, classes, 3, 6)
    assert len(choose_queries(labels[:2], classes, 3, 5)) == 2


def test_the_csv_keeps_ids_as_they_are_and_names_apart_and_says_what_shares_a_label(tmp_path):
    found = (
        Near(rank=1, id="000012", distance=0.25, labels=("cat", "dining table")),
        Near(rank=2, id="7e3", distance=0.5, labels=("dog",)),
    )
    query = ShownQuery(
        id="000001", drawn_for="cat", labels=("cat", "person"), neighbors={"net/b": found, "net/a": found[:1]}
    )
    result = RetrievalResult(split="test", metric="l2", layers=("net/b", "net/a"), queries=(query,))
    write_neighbors(result, tmp_path / "neighbors.csv")
    rows = list(csv.reader((tmp_path / "neighbors.csv").open()))
    assert rows == [
        ["query", "representation", "rank", "id", "distance", "labels", "shares_label"],
        ["000001", "net/b", "0", "000001", "0.0", "cat|person", "True"],
        ["000001", "net/b", "1", "000012", "0.25", "cat|dining table", "True"],
        ["000001", "net/b", "2", "7e3", "0.5", "dog", "False"],
        ["000001", "net/a", "0", "000001", "0.0", "cat|person", "True"],
        ["000001", "net/a", "1", "000012", "0.25", "cat|dining table", "True"],
    ]

"""Which queries are shown, and the lists as CSV."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from pool5.analysis.shown_queries import ShownQuery, choose_queries, write_neighbors
from pool5.errors import UserError
from pool5.search import Neighbor
from pool5.search.searcher import Neighbors

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


def test_too_few_classes_are_told(tmp_path):
    labels = np.full((10, 4), -1, np.int8)
    labels[:, 1] = 1
    with pytest.raises(UserError, match=r"neighbors\.queries: 3 queries .* only 1; set it to 1"):
        choose_queries(labels, CLASSES, 3, 0)


def test_the_csv_keeps_ids_as_they_are_and_says_what_shares_a_label(tmp_path):
    found = Neighbors([Neighbor(1, "000012", 0.25, ("cat", "sofa")), Neighbor(2, "7e3", 0.5, ("dog",))])
    query = ShownQuery("000001", "cat", ("cat", "person"), {"net/fc7": found})
    write_neighbors([query], tmp_path / "neighbors.csv")
    rows = list(csv.reader((tmp_path / "neighbors.csv").open()))
    assert rows == [
        ["query", "representation", "rank", "id", "distance", "labels", "shares_label"],
        ["000001", "net/fc7", "0", "000001", "0.0", "cat person", "True"],
        ["000001", "net/fc7", "1", "000012", "0.25", "cat sofa", "True"],
        ["000001", "net/fc7", "2", "7e3", "0.5", "dog", "False"],
    ]

from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.label_issues.conflicts import find_conflicts, in_order, too_many
from pool5.project import Project
from tests.stages.small_project import put_graph, put_split

CLASSES = ("cat", "dog")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project()


def put(project, train_labels, test_labels, vectors=None, digests=None):
    """Two splits of three images each; without `vectors` no image is near another."""
    rows = np.eye(6) if vectors is None else np.asarray(vectors)
    same = np.arange(6) if digests is None else np.asarray(digests)
    bytes_of = np.repeat(same[:, None], 16, axis=1).astype(np.uint8)
    return [
        put_split(project, "train", rows[:3], np.asarray(train_labels), CLASSES, bytes_of[:3]),
        put_split(project, "test", rows[3:], np.asarray(test_labels), CLASSES, bytes_of[3:]),
    ]


def test_the_same_bytes_with_other_labels_contradict_within_and_between_the_splits(project):
    files = put(project, [[1, -1], [1, -1], [1, 1]], [[-1, 1], [1, -1], [1, 1]], digests=[7, 7, 3, 7, 7, 5])
    found = find_conflicts(files, put_graph(project, files), 0.99)
    assert {(c.id_a, c.id_b) for c in found} >= {("train0001", "test0000")}
    pair = next(c for c in found if c.id_a == "train0001")
    assert (pair.split_a, pair.split_b, pair.identical_bytes, pair.similarity) == ("train", "test", True, 1.0)
    assert (pair.only_a, pair.only_b) == (("cat",), ("dog",))
    assert find_conflicts(files, None, 0.99) == [c for c in found if c.identical_bytes]


def test_near_duplicates_come_after_identical_files_and_the_most_similar_first(project):
    vectors = [[1, 0], [1, 0.02], [0, 1], [1, 0.05], [0, -1], [0, -1]]
    labels = [[1, -1], [-1, 1], [1, 1]], [[-1, 1], [1, -1], [-1, 1]]
    files = put(project, *labels, vectors=vectors, digests=[1, 2, 3, 4, 5, 5])
    found = find_conflicts(files, put_graph(project, files), 0.95)
    names = [(c.id_a, c.id_b, c.identical_bytes) for c in found]
    assert names == [
        ("test0001", "test0002", True),
        ("train0000", "train0001", False),
        ("train0000", "test0000", False),
    ]
    assert found[1].similarity > found[2].similarity > 0.99
    assert in_order([*found, *found]) == found


def test_only_difficult_instances_differ_from_no_label(project):
    vectors = np.tile([1.0, 0.0], (6, 1))
    files = put(project, [[1, 0], [1, -1], [1, 1]], [[0, 0]] * 3, vectors=vectors)
    (found,) = find_conflicts(files, put_graph(project, files), 0.95)
    assert (found.id_a, found.id_b, found.only_a, found.only_b) == ("train0001", "train0002", (), ("dog",))


def test_a_layer_that_can_hardly_tell_images_apart_is_told(project):
    labels = [[1, -1], [-1, 1], [1, -1]], [[-1, 1]] * 3
    files = put(project, *labels, vectors=np.tile([1.0, 0.0], (6, 1)))
    found = find_conflicts(files, put_graph(project, files), 0.95)
    (told,) = too_many(found, files, "net/fc", 0.95)
    assert "too low a threshold" in told
    assert too_many(found[:0], files, "net/fc", 0.95) == []

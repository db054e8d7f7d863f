from __future__ import annotations

import numpy as np

from pool5.analysis.outliers.typical_images import typical_of_classes
from pool5.project import Project
from tests.stages.small_project import put_split


def nearest(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, axis=1)[:, -1]


def test_the_middle_of_each_class_is_typical_and_the_counts_are_those_of_a_loop(tmp_path):
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0]])
    vectors = np.vstack([centre + rng.normal(size=(40, 2)) for centre in centres] + [centres])
    labels = np.full((82, 3), -1)
    labels[:40, 0] = labels[80, 0] = labels[40:80, 1] = labels[81, 1] = 1
    labels[5, 0] = 0  # difficult: does not count
    file = put_split(Project(tmp_path), "test", vectors, labels)
    rows, far = nearest(vectors, 10)
    found, gaps = typical_of_classes(rows, far, file)
    assert gaps == ["test: fewer than 3 images show person: none is typical of it"]
    assert [(each.class_name, each.images) for each in found] == [("cat", 40), ("dog", 41)]
    for column, each in enumerate(found):
        members = np.flatnonzero(labels[:, column] == 1)
        named = {f"test{row:04}": sum(row in rows[other] for other in members) for row in members}
        assert [image.named_by for image in each.typical] == sorted(named.values())[:-7:-1]
        assert all(named[image.id] == image.named_by for image in each.typical)
        assert each.median == np.median(list(named.values()))
        places = [int(image.id[4:]) for image in each.typical]
        assert np.linalg.norm(vectors[places] - centres[column], axis=1).max() < 1.5


def test_without_classes_nothing_is_typical(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(12, 2))
    file = put_split(Project(tmp_path), "test", vectors, np.zeros((12, 0)), classes=())
    assert typical_of_classes(*nearest(vectors, 3), file) == (
        [],
        ["there are no classes, so no image is typical of one"],
    )

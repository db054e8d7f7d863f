"""Odd images and isolated groups of drawn vectors, of which it is known what is odd."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.outliers.far_images import examine_layer
from pool5.measures.robust_score import CUT
from pool5.project import Project
from pool5.results.outliers import OddInLayer
from tests.stages.small_project import put_graph, put_split

COUNT = 300


def cloud(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Vectors in a cone: all of them near each other by the cosine."""
    return np.random.default_rng(seed).normal(size=(count, 16)) * 0.3 + 1


def away(number: int, size: int, seed: int = 9) -> np.ndarray:
    """`size` vectors near one direction that is far from all others."""
    rng = np.random.default_rng([seed, number])
    direction = rng.normal(size=16)
    direction -= direction.mean()
    return 4 * direction / np.linalg.norm(direction) + rng.normal(size=(size, 16)) * 0.05


def examine(
    tmp_path, vectors: np.ndarray, k: int = 10, listed: int = 50, **graph
) -> tuple[OddInLayer | None, list[str]]:
    project = Project(tmp_path)
    labels = np.full((len(vectors), 3), -1)
    labels[:, 0] = 1
    files = [put_split(project, "test", vectors, labels)]
    found = put_graph(project, files, **graph)
    return examine_layer(found, files[0], k, listed)


def test_planted_ones_are_the_farthest_and_their_places_and_scores_are_right(tmp_path):
    vectors = np.vstack([cloud(), away(1, 1), away(2, 1)])
    found, gaps = examine(tmp_path, vectors)
    assert {image.id for image in found.odd[:2]} == {"test0300", "test0301"}
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    far = np.sort(1 - unit @ unit.T, axis=1)[:, 10]  # the first is the image itself
    spread = 1.4826 * np.median(np.abs(far - np.median(far)))
    order = np.argsort(-far)
    for place, image in enumerate(found.odd, 1):
        row = order[place - 1]
        assert (image.id, image.rank) == (f"test{row:04}", place)
        assert image.value == pytest.approx(far[row], abs=1e-6)
        assert image.score == pytest.approx((far[row] - np.median(far)) / spread, rel=1e-3)
        assert image.quantile == pytest.approx(1 - place / len(far))
    assert found.beyond == ((far - np.median(far)) / spread > CUT).sum()
    assert sum(found.distances.counts) == found.distances.images == len(far)
    assert gaps == [
        "test: fewer than 3 images show dog, person: none is typical of it",
    ]


def test_a_group_that_is_larger_than_k_is_found_though_it_is_near_itself(tmp_path):
    vectors = np.vstack([cloud(), away(1, 14)])
    found, _ = examine(tmp_path, vectors)
    assert not {image.id for image in found.odd if image.score > CUT} & {
        f"test{n:04}" for n in range(300, 314)
    }
    (group,) = found.groups
    assert (group.images, found.isolated) == (14, 1)
    assert group.ids == tuple(f"test{n:04}" for n in range(300, 312)), "the first twelve"
    assert int(group.odd.nearest[4:]) < 300


def test_copies_of_an_image_like_any_other_are_no_isolated_group(tmp_path):
    vectors = cloud()
    found, _ = examine(tmp_path, np.vstack([vectors, np.repeat(vectors[:1], 14, axis=0)]))
    assert found.groups == ()


def test_two_kinds_of_images_of_like_number_are_no_oddity(tmp_path):
    found, _ = examine(tmp_path, np.vstack([cloud(150), -cloud(150, 1)]))
    assert found.groups == ()


def test_no_more_are_listed_than_a_tenth_nor_than_asked_for(tmp_path):
    assert len(examine(tmp_path, cloud(30))[0].odd) == 3
    assert len(examine(tmp_path, cloud(30), listed=2)[0].odd) == 2


def test_few_images_and_a_graph_that_does_not_reach_are_told(tmp_path):
    found, gaps = examine(tmp_path, cloud(9))
    assert found is None
    assert gaps == ["net/fc, test: 9 images are too few to tell an odd one, which takes 10"]
    found, gaps = examine(tmp_path, cloud(20), depth=4)
    assert found.k == 4
    assert gaps[0] == "net/fc, test: the distance to neighbor 4 counts, not to 10: no more are stored"


def test_images_that_are_all_the_same_have_no_score_and_none_is_beyond(tmp_path):
    found, _ = examine(tmp_path, np.ones((20, 16)))
    assert found.beyond == 0
    assert {image.score for image in found.odd} == {None}
    assert {image.rank for image in found.odd} == {1}
    assert found.groups == ()

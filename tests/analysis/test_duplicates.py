"""Near-duplicate pairs within and between splits, from the stored neighbors."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pool5.analysis.duplicates import MOST_LISTED, duplicates_metrics, find_duplicates, write_duplicates
from pool5.project import Project
from pool5.results.duplicates import DuplicatesResult
from pool5.store.feature_file import FeatureFile
from tests.stages.small_project import put_graph, put_split


def found(
    folder: Path, files: list[FeatureFile], threshold: float, depth: int = 100, **most: int
) -> DuplicatesResult:
    pixels = {file.split: dict.fromkeys(file.ids.tolist(), 48) for file in files}
    return find_duplicates(files, put_graph(Project(folder), files, depth=depth), threshold, pixels, **most)


@pytest.fixture
def files(tmp_path: Path) -> list[FeatureFile]:
    rng = np.random.default_rng(0)
    train, test = (rng.standard_normal((n, 64)).astype(np.float32) for n in (1100, 40))
    digests = [rng.integers(0, 256, (n, 16), dtype=np.uint8) for n in (1100, 40)]
    train[1050] = train[3]  # the same features, another file
    test[7] = train[20]
    digests[1][7] = digests[0][20]  # the same file
    test[9] = train[500] + 0.1 * rng.standard_normal(64).astype(np.float32)
    test[12] = 3 * test[11]
    return [
        put_split(Project(tmp_path), name, vectors, np.ones((len(vectors), 3)), digests=own)
        for name, vectors, own in zip(("train", "test"), (train, test), digests, strict=True)
    ]


def test_every_pair_is_found_once_most_similar_first(files, tmp_path):
    result = found(tmp_path, files, 0.95)
    pairs = result.pairs
    assert [(p.id_a, p.id_b, p.identical_bytes) for p in pairs] == [
        ("test0011", "test0012", False),
        ("train0003", "train1050", False),
        ("train0020", "test0007", True),
        ("train0500", "test0009", False),
    ]
    assert [p.similarity for p in pairs[:3]] == [1, 1, 1]
    a, b = files[0].layer("fc")[500].astype(float), files[1].layer("fc")[9].astype(float)
    assert pairs[3].similarity == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)
    assert result.gaps == ()


@pytest.mark.parametrize("depth", [100, 30])
def test_the_pairs_are_those_of_brute_force_at_a_low_threshold(files, tmp_path, depth):
    result = found(tmp_path, files, 0.2, depth)
    x = [file.layer("fc").astype(float) for file in files]
    x = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in x]
    ids = [file.ids.tolist() for file in files]
    within = {(ids[1][a], ids[1][b]) for a, b in np.argwhere(np.triu(x[1] @ x[1].T, 1) >= 0.2)}
    between = {(ids[0][a], ids[1][b]) for a, b in np.argwhere(x[0] @ x[1].T >= 0.2)}
    assert {(p.id_a, p.id_b) for p in result.pairs if p.split_a == "test"} == within
    # no image of train has so many in test that its list is full, though those of test have in train
    assert {(p.id_a, p.id_b) for p in result.pairs if p.split_a != p.split_b} == between
    assert not any("between" in gap for gap in result.gaps)
    assert len(within) > 20


def test_counts_tell_the_splits_and_identical_files_apart(files, tmp_path):
    assert duplicates_metrics(found(tmp_path, files, 0.95)) == {
        "within train": {"pairs": 1, "identical_bytes": 0},
        "within test": {"pairs": 1, "identical_bytes": 0},
        "between train and test": {"pairs": 2, "identical_bytes": 1},
        "groups": {"count": 4, "largest": 2, "left_out": 2, "redundant": 1},
    }


def test_the_csv_names_both_images_and_their_splits(files, tmp_path):
    write_duplicates(found(tmp_path, files, 0.999), tmp_path / "duplicates.csv")
    rows = list(csv.DictReader((tmp_path / "duplicates.csv").open()))
    assert rows[2] == {
        "split_a": "train",
        "id_a": "train0020",
        "split_b": "test",
        "id_b": "test0007",
        "similarity": "1.000000",
        "identical_bytes": "True",
    }


def test_1415_identical_placeholders_do_not_stop_and_the_gap_counts_what_is_not_listed(tmp_path):
    project = Project(tmp_path)
    digests = np.zeros((1415, 16), np.uint8)
    train = put_split(project, "train", np.ones((1415, 4)), np.ones((1415, 3)), digests=digests)
    test = put_split(project, "test", np.eye(4)[:2], np.ones((2, 3)))
    result = found(tmp_path, [train, test], 0.99)
    listed = result.counts[0].pairs
    assert 1415 * 50 < listed < 1415 * 101
    assert result.counts[0].identical_bytes == listed
    assert len(result.pairs) == min(listed, MOST_LISTED)
    assert result.gaps[:1] == (
        "within train: 1415 images have more near-duplicates than the 100 neighbors that are stored of each; "
        f"{listed} pairs are found, of identical files alone there are {1415 * 1414 // 2}",
    )


def test_a_split_of_one_image_is_compared_with_the_other(tmp_path):
    project = Project(tmp_path)
    train = put_split(project, "train", np.eye(4)[:3], np.ones((3, 3)))
    test = put_split(project, "test", np.eye(4)[:1], np.ones((1, 3)))
    result = found(tmp_path, [train, test], 0.9)
    assert [(p.id_a, p.id_b) for p in result.pairs] == [("train0000", "test0000")]
    assert [count.pairs for count in result.counts] == [0, 1, 0]


@pytest.mark.parametrize("width", [8, 37])
def test_more_copies_of_an_image_than_are_stored_stop_nothing_at_the_highest_threshold(tmp_path, width):
    one = np.random.default_rng(width).random((1, width)).astype(np.float32)
    files = [
        put_split(Project(tmp_path), name, np.repeat(one, n, axis=0), np.ones((n, 3)))
        for name, n in (("train", 150), ("test", 5))
    ]
    result = found(tmp_path, files, 1.0)
    assert [count.pairs for count in result.counts][1:] == [150 * 5, 5 * 4 // 2]
    assert result.counts[0].pairs > 100 * 150 / 2
    assert len(result.gaps) == 1
    assert result.gaps[0].startswith("within train: 150 images have more near-duplicates than the 100")


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_of_too_many_pairs_the_most_similar_are_listed_and_all_are_counted(files, tmp_path, most):
    every = found(tmp_path, files, 0.2)
    result = found(tmp_path, files, 0.2, most_listed=most)
    assert result.pairs == every.pairs[:most]
    assert (result.counts, result.groups, result.left_out) == (every.counts, every.groups, every.left_out)
    told = f"{len(every.pairs)} pairs are that similar; the {most} most similar are listed"
    assert any(gap.startswith(told) for gap in result.gaps)
    assert any("1140 of all 1140 images: 0.2 is too low" in gap for gap in result.gaps)

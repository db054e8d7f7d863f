"""Groups of near-duplicates, which image stays, and what a list leaves out."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import networkx
import numpy as np
import pytest

from pool5.analysis.duplicate_groups import redundant, write_groups
from pool5.analysis.duplicates import find_duplicates
from pool5.project import Project
from pool5.results.duplicates import DuplicatesResult
from tests.stages.small_project import put_graph, put_split


def grouped(
    folder: Path,
    vectors: dict[str, np.ndarray],
    threshold: float,
    depth: int = 100,
    pixels=None,
    digests=None,
) -> DuplicatesResult:
    project = Project(folder)
    files = [
        put_split(project, split, part, np.ones((len(part), 3)), digests=(digests or {}).get(split))
        for split, part in vectors.items()
    ]
    sizes = {file.split: {name: (pixels or {}).get(name, 48) for name in file.ids.tolist()} for file in files}
    return find_duplicates(files, put_graph(project, files, depth=depth), threshold, sizes)


def named(result: DuplicatesResult) -> list[list[str]]:
    return [[image.id for image in group.images] for group in result.groups]


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"train": rng.standard_normal((80, 6)), "test": rng.standard_normal((30, 6))}


@pytest.mark.parametrize("threshold", [0.8, 0.9, 0.97])
def test_groups_are_the_connected_components_of_all_pairs(tmp_path, vectors, threshold):
    graph = networkx.Graph()
    every = [(f"{split}{row:04d}", v) for split, part in vectors.items() for row, v in enumerate(part)]
    for (a, x), (b, y) in itertools.combinations(every, 2):
        if x @ y / np.linalg.norm(x) / np.linalg.norm(y) >= threshold:
            graph.add_edge(a, b)
    result = grouped(tmp_path, vectors, threshold)
    found = {frozenset(group) for group in named(result)}
    assert found == {frozenset(group) for group in networkx.connected_components(graph)}
    near_test = {a for a in graph if a.startswith("train") if any(b.startswith("test") for b in graph[a])}
    assert set(result.left_out) == near_test


def test_of_a_group_the_largest_stays_then_the_first_id(tmp_path):
    vectors = {"train": np.repeat(np.eye(4)[:2], 3, axis=0), "test": np.eye(4)[2:3]}
    result = grouped(tmp_path, vectors, 0.9, pixels={"train0002": 99, "train0003": 7})
    assert named(result) == [
        ["train0002", "train0000", "train0001"],
        ["train0004", "train0005", "train0003"],
    ]
    assert result.redundant == ("train0000", "train0001", "train0003", "train0005")
    assert redundant(result.groups, "train", ["train0002"]) == ["train0001", "train0003", "train0005"]
    write_groups(result, tmp_path / "groups.csv")
    rows = list(csv.DictReader((tmp_path / "groups.csv").open()))
    assert [row["id"] for row in rows if row["kept"] == "True"] == ["train0002", "train0004"]


def test_a_chain_is_told_by_its_least_similarity(tmp_path):
    angles = np.deg2rad(np.arange(0, 100, 20))
    vectors = {"train": np.column_stack([np.cos(angles), np.sin(angles)]), "test": np.array([[-1.0, 0.0]])}
    (group,) = grouped(tmp_path, vectors, 0.9).groups
    assert len(group.images) == 5
    assert group.least_similarity == pytest.approx(np.cos(np.deg2rad(80)), abs=1e-6)


def test_identical_files_are_one_group_though_their_pairs_are_not_all_stored(tmp_path):
    copies = {"train": np.ones((300, 4)), "test": np.ones((120, 4))}
    digests = {split: np.zeros((len(part), 16), np.uint8) for split, part in copies.items()}
    result = grouped(tmp_path, copies, 1.0, depth=5, digests=digests)
    assert [len(group) for group in named(result)] == [420]
    assert len(result.left_out) == 300


def test_nothing_near_gives_no_group(tmp_path):
    result = grouped(tmp_path, {"train": np.eye(6)[:4], "test": np.eye(6)[4:]}, 0.9)
    assert (result.groups, result.left_out) == ((), ())

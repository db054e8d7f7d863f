"""Near-duplicate pairs within and between splits."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pool5.analysis.duplicates import count_duplicates, find_duplicates, write_duplicates
from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.feature_key import FeatureKey

KEY = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1)


def split(folder: Path, name: str, vectors: np.ndarray, digests: np.ndarray) -> FeatureFile:
    path = folder / f"{name}.h5"
    write_feature_file(
        path,
        dataset="toy",
        split=name,
        model="net",
        classes=("cat",),
        ids=np.array([f"{name}{number:03d}" for number in range(len(vectors))]),
        digests=digests,
        labels=np.ones((len(vectors), 1), np.int8),
        layers={"fc": vectors},
        keys={"fc": KEY},
    )
    return FeatureFile.open(path)


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
    return [split(tmp_path, "train", train, digests[0]), split(tmp_path, "test", test, digests[1])]


def test_every_pair_is_found_once_most_similar_first(files):
    pairs = find_duplicates(files, "fc", 0.95)
    assert [(p.id_a, p.id_b, p.identical_bytes) for p in pairs] == [
        ("test011", "test012", False),
        ("train003", "train1050", False),
        ("train020", "test007", True),
        ("train500", "test009", False),
    ]
    assert [p.similarity for p in pairs[:3]] == [1, 1, 1]
    a, b = files[0].layer("fc")[500].astype(float), files[1].layer("fc")[9].astype(float)
    assert pairs[3].similarity == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


def test_the_pairs_are_those_of_brute_force_at_a_low_threshold(files):
    pairs = find_duplicates(files[1:], "fc", 0.2)
    x = files[1].layer("fc").astype(float)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = {(a, b) for a in range(40) for b in range(a + 1, 40) if x[a] @ x[b] >= 0.2}
    ids = files[1].ids.tolist()
    assert {(ids.index(p.id_a), ids.index(p.id_b)) for p in pairs} == expected
    assert len(expected) > 20


def test_counts_tell_the_splits_and_identical_files_apart(files):
    counts = count_duplicates(find_duplicates(files, "fc", 0.95), ["train", "test"])
    assert counts == {
        "within train": {"pairs": 1, "identical_bytes": 0},
        "within test": {"pairs": 1, "identical_bytes": 0},
        "between train and test": {"pairs": 2, "identical_bytes": 1},
    }


def test_the_csv_names_both_images_and_their_splits(files, tmp_path):
    write_duplicates(find_duplicates(files, "fc", 0.999), tmp_path / "duplicates.csv")
    rows = list(csv.DictReader((tmp_path / "duplicates.csv").open()))
    assert rows[2] == {
        "split_a": "train",
        "id_a": "train020",
        "split_b": "test",
        "id_b": "test007",
        "similarity": "1.000000",
        "identical_bytes": "True",
    }


def test_a_threshold_that_nearly_every_pair_passes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pool5.analysis.duplicates._MOST_PAIRS", 1000)
    vectors = np.ones((150, 4), np.float32)
    digests = np.zeros((150, 16), np.uint8)
    with pytest.raises(UserError, match=r"duplicates\.threshold: at 0\.5 .* raise it"):
        find_duplicates([split(tmp_path, "train", vectors, digests)], "fc", 0.5)

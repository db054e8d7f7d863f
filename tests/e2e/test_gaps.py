"""What a data set cannot give leaves a gap, with its reason on the page, and never stops the run."""

from __future__ import annotations

import copy
import html
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import SMALL, write_project

pytestmark = [pytest.mark.slow, pytest.mark.long]

HERE = Path(__file__).parent


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 44, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def by_class(train: dict[str, int], test: dict[str, int], same: bool = False) -> Callable[[Path], str]:
    """A folder with so many images of each class in each split; gives the kind of the data set."""

    def write(root: Path) -> str:
        number = 0
        for split, classes in (("train", train), ("test", test)):
            for name, count in classes.items():
                (root / split / name).mkdir(parents=True, exist_ok=True)
                for _ in range(count):
                    number += 1
                    picture(root / split / name / f"{split}-{number:04d}.png", 0 if same else number)
        return "folder"

    return write


def without_labels(count: int) -> Callable[[Path], str]:
    def write(root: Path) -> str:
        for split, seeds in (("train", range(count)), ("test", range(count, 2 * count))):
            for seed in seeds:
                picture(root / split / f"{seed:04d}.png", seed)
        return "images"

    return write


def params(kind: str, **sections: object) -> dict:
    network = {"architecture": "resnet18", "weights": "random", "layers": {"fc7": "flatten", "logits": "fc"}}
    return {
        "dataset": {"name": "own", "kind": kind, "root": "own", "train": "train", "test": "test"},
        "models": {"net": network | {"preprocess": SMALL}},
        "extract": {"device": "cpu", "workers": 0},
        **copy.deepcopy(sections),  # what a test changes is its own
    }


# asked for in full, whether the data set can give it or not
ALL = {
    "index": {"of": ["net/fc7"], "queries": 10},
    "neighbors": {"of": ["net/fc7"], "bootstrap": 20},
    "duplicates": {"of": "net/fc7"},
    "tsne": {"of": ["net/fc7"], "stability_seeds": 1},
    "outliers": {"of": ["net/fc7"]},
    "derive": {"small": {"of": "net/fc7", "steps": ["l2", {"pca": 2}]}},
    "maps": {"of": ["net/fc7"], "methods": ["pca"], "stability_seeds": 1},
    "compare": {"of": ["net/fc7", "small/fc7"], "bootstrap": 20, "permutations": 5},
    "label_issues": {"of": ["linear"]},
    "probe": {"linear": {"of": "net/fc7"}},
    "ap": {"of": ["linear"], "bootstrap": 20},
}

CASES: dict[str, tuple[Callable[[Path], str], dict]] = {
    "one class": (by_class({"cat": 8}, {"cat": 6}), ALL),
    "two classes": (by_class({"cat": 6, "dog": 6}, {"cat": 5, "dog": 5}), ALL),
    "three images": (by_class({"cat": 1, "dog": 1}, {"cat": 1}), ALL),
    "a test split of one image": (by_class({"cat": 6, "dog": 6}, {"cat": 1}), ALL),
    "no labels at all": (without_labels(8), ALL),
    "the same image over and over": (
        by_class({"cat": 30, "dog": 10}, {"cat": 20, "dog": 10}, same=True),
        ALL,
    ),
    "a class without positives": (by_class({"cat": 6, "dog": 6, "emu": 2}, {"cat": 5, "dog": 5}), ALL),
    "nothing asked for": (by_class({"cat": 3, "dog": 3}, {"cat": 3, "dog": 3}), {}),
    "no labels and nothing asked for": (without_labels(4), {}),
}


def run_all(folder: Path) -> dict:
    program = [sys.executable, str(HERE / "audited.py"), str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads((folder / "audit.json").read_text())


def gaps_of(folder: Path) -> list[str]:
    """Every gap of every record."""
    gaps: list[str] = []
    for path in sorted((folder / "data/results").rglob("*.json")):
        gaps += json.loads(path.read_text())["record"].get("gaps", [])
    return gaps


@pytest.mark.parametrize("case", CASES)
def test_the_run_ends_with_a_page_that_says_what_is_missing(case, tmp_path):
    write, sections = CASES[case]
    folder = tmp_path / "project"
    kind = write(folder / "own")
    write_project(folder, params(kind, **sections))
    audit = run_all(folder)
    assert {name: stage["code"] for name, stage in audit.items() if stage["code"]} == {}
    assert {name: stage["missing"] for name, stage in audit.items() if stage["missing"]} == {}
    page = html.unescape((folder / "reports/index.html").read_text())
    if sections:  # what nobody asked for is not missed on the page
        assert [gap for gap in gaps_of(folder) if gap not in page] == []
        assert gaps_of(folder) or case == "two classes"

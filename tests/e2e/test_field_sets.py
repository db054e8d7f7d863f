"""Data sets that users of such tools have met: each ends with a page, or with one line that is right."""

from __future__ import annotations

import csv
import html
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_gaps import ALL, gaps_of, params, picture, run_all
from tiny import write_project

pytestmark = [pytest.mark.slow, pytest.mark.long]

PETS = ("all", "cow", "mean")  # names that are words of ours as well


class Finished:
    """What a run left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page = html.unescape((folder / "reports/index.html").read_text())
        self.gaps = gaps_of(folder)
        self.dataset = self.record("dataset")

    def record(self, name: str) -> Any:
        return json.loads((self.folder / f"data/results/{name}.json").read_text())["record"]

    def rows(self, path: str) -> list[dict[str, str]]:
        with (self.folder / path).open(newline="") as file:
            lines = [line for line in file if not line.startswith("#")]
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Finished:
    """Images by class, of the same names in each split, with U+202F in them, and other files beside."""

    def write(root: Path) -> None:
        for seed, split in enumerate(("train", "val", "test")):
            for number, name in enumerate(PETS):
                for i in range(4):
                    path = root / split / name / f"shot {i}\u202fPM.png"
                    picture(path, 1000 * seed + 10 * number + i)
        (root / "train/cow/x.psd").write_bytes(b"x" * 100)
        (root / "train/cow/noending").write_bytes(b"x" * 100)
        picture(root / "backup/old/1.png", 999)

    return finished(tmp_path_factory.mktemp("folders"), write, "folder", "val")


@pytest.fixture(scope="module")
def kit(tmp_path_factory) -> Finished:
    """A devkit whose annotations were converted from elsewhere, and a.json beside a.png."""

    def write(root: Path) -> None:
        for i, split in devkit(root):
            picture(root / f"VOC2012/JPEGImages/{i}.png", int(i[1:]) + 100 * (split == "test"))
            (root / f"VOC2012/JPEGImages/{i}.json").write_text("{}")
            odd = "0.06" if int(i[1:]) % 2 else "Unspecified"
            difficult = "<Difficult>1</Difficult>" if int(i[1:]) < 3 else ""
            annotate(root / f"VOC2012/Annotations/{i}.xml", PETS[int(i[1:]) % 3], odd, difficult)

    return finished(tmp_path_factory.mktemp("kit"), write, "voc")


def finished(folder: Path, write: Callable[[Path], None], kind: str, val: str | None = None) -> Finished:
    write(folder / "own")
    wanted = params(kind, **ALL)
    wanted["dataset"]["val"] = val
    write_project(folder, wanted)
    audit = run_all(folder)
    assert {name: stage["code"] for name, stage in audit.items() if stage["code"]} == {}
    return Finished(folder)


def devkit(root: Path) -> Iterator[tuple[str, str]]:
    """The lists of twelve images a split; gives (id, split)."""
    for split in ("train", "test"):
        lists = root / "VOC2012/ImageSets/Main"
        lists.mkdir(parents=True, exist_ok=True)
        ids = [f"{split[0]}{i:03d}" for i in range(12)]
        (lists / f"{split}.txt").write_text("\n".join(ids) + "\n")
        yield from ((i, split) for i in ids)


def annotate(path: Path, name: str, truncated: str, difficult: str) -> None:
    size = "<size><width>44</width><height>40</height><depth>3</depth></size>"
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    shown = f"<object><name>{name}</name><truncated>{truncated}</truncated>{difficult}{box}</object>"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<annotation><filename>{path.stem}.jpg</filename>{size}{shown}</annotation>")


def test_only_the_named_splits_are_read_and_the_rest_is_counted_on_the_page(folders):
    assert set(folders.dataset["splits"]) == {"train", "val", "test"}
    assert folders.dataset["classes"] == list(PETS)
    passed = {(part["ending"], part["files"]) for part in folders.dataset["passed_over"]}
    assert passed == {(".psd", 1), ("", 1), (".png", 1)}
    assert ".psd" in folders.page


def test_a_class_called_all_is_not_taken_for_all_queries(folders):
    groups = folders.record("retrieval")["groups"]
    assert {"all", "mean"} <= {part["group"] for part in groups if part["is_class"]}
    (overall,) = [p for p in groups if not p["is_class"] and (p["group"], p["measure"]) == ("all", "P@4")]
    assert overall["queries"] == 12
    metrics = json.loads((folders.folder / "reports/metrics/retrieval.json").read_text())
    assert metrics["net/fc7"]["all"]["P@4"] == pytest.approx(overall["value"], abs=1e-6)


def test_images_of_the_same_name_in_each_split_are_different_images(folders):
    by_split = [folders.rows(f"data/manifest/{split}.csv") for split in ("train", "val", "test")]
    assert [len(rows) for rows in by_split] == [12, 12, 12]
    assert len({row["digest"] for rows in by_split for row in rows}) == 36
    assert all("\u202f" in row["id"] for rows in by_split for row in rows)


def test_what_decides_nothing_may_be_odd_and_is_told(kit):
    assert any("truncated" in gap for gap in kit.gaps)
    assert {row["truncated"] for row in kit.rows("data/manifest/objects.csv")} == {""}


def test_a_tag_counts_however_it_is_written(kit):
    for split in ("train", "test"):
        content = kit.dataset["splits"][split]
        assert (sum(content["difficult"].values()), sum(content["positives"].values())) == (3, 9)


def test_a_file_beside_an_image_is_not_the_image(kit):
    paths = [row["path"] for split in ("train", "test") for row in kit.rows(f"data/manifest/{split}.csv")]
    assert len(paths) == 24
    assert all(path.endswith(".png") for path in paths)


def test_lists_that_write_0_for_absent_end_with_one_line(tmp_path):
    kit = tmp_path / "own/VOC2012"
    for number, (i, split) in enumerate(list(devkit(kit.parent))):
        picture(kit / f"JPEGImages/{i}.jpg", number)
        for kind, name in enumerate(PETS):
            with (kit / f"ImageSets/Main/{name}_{split}.txt").open("a") as file:
                file.write(f"{i} {' 1' if number % 3 == kind else ' 0'}\n")
    write_project(tmp_path, params("voc", **ALL))
    for stage in ("params", "images", "dataset"):
        program = [sys.executable, "-m", f"pool5.stages.{stage}"]
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == (2 if stage == "dataset" else 0), done.stderr
    (line,) = done.stderr.splitlines()
    assert "no -1 in any of the class lists" in line
    assert "write -1 where a class is absent" in line

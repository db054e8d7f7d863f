"""Spoiled and foreign pictures among 1200 photographs: which the stage outliers finds, and what else.

Half of the photographs are the training split. Six of each fault, made from photographs of that split, and
six drawn scenes are put into the test split: 60 pictures among 600.
"""

from __future__ import annotations

import collections
import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import Project

from pool5.params import Sample
from pool5.sample.devkit import draw_devkit
from tests.planted_faults import FAULTS

pytestmark = [pytest.mark.slow, pytest.mark.long]

EACH = 6
LAYER = "mobilenet_v2/pooled"


def plant(photos: list[Path], kit: Path) -> None:
    """The photographs and, by their names, the planted ones."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(photos)).tolist()
    for split in ("train", "test"):
        (kit / split).mkdir(parents=True)
    for place, row in enumerate(order):
        split = "train" if place < len(order) // 2 else "test"
        (kit / split / photos[row].name).symlink_to(photos[row])
    for number, (fault, spoil) in enumerate(FAULTS.items()):
        for copy in range(EACH):
            with Image.open(photos[order[number * EACH + copy]]) as photo:
                spoiled = spoil(photo.convert("RGB"), rng)
            spoiled.save(kit / "test" / f"planted-{fault}-{copy}.jpg", quality=90)
    draw_devkit(kit.parent / "drawn", Sample(train=EACH, val=1, test=1, source=1))
    drawn = sorted((kit.parent / "drawn").rglob("*.jpg"))[:EACH]
    for copy, path in enumerate(drawn):
        path.rename(kit / "test" / f"planted-foreign-{copy}.jpg")


@pytest.fixture(scope="module")
def project(tmp_path_factory, shared) -> Project:
    folder = tmp_path_factory.mktemp("planted")
    plant(
        sorted((shared / "data/voc2012-animals/VOCdevkit/VOC2012/JPEGImages").glob("*.jpg")), folder / "kit"
    )
    network = {"architecture": "mobilenet_v2", "weights": "imagenet", "layers": {"pooled": "flatten"}}
    params = {
        "dataset": {
            "name": "planted",
            "kind": "images",
            "root": str(folder / "kit"),
            "train": "train",
            "test": "test",
        },
        "models": {"mobilenet_v2": network},
        "outliers": {"of": [LAYER], "listed": 66},
    }
    project = Project.copy_to(folder / "project", params)
    done = project.repro("outliers", TORCH_HOME=str(shared / "weights/torch-home"))
    assert done.code == 0, done.err
    return project


def rows(project: Project, name: str) -> list[dict[str, str]]:
    with (project.folder / f"reports/outliers/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def faults(ids: list[str]) -> collections.Counter[str]:
    """How many of each fault, and photographs that are as they were, are among some images."""
    return collections.Counter(
        name.rpartition("planted-")[2].rpartition("-")[0] if "planted-" in name else "photograph"
        for name in ids
    )


@pytest.mark.parametrize(
    ("kind", "fault", "others"),
    [
        ("blank", "blank", 1),
        ("dark", "dark", 3),
        ("bright", "bright", 2),
        ("blurred", "blurred", 0),
        ("noisy", "noise", 0),
        ("long", "panorama", 0),
    ],
)
def test_every_picture_that_shows_its_fault_in_its_pixels_is_listed(project, kind, fault, others):
    found = faults([row["id"] for row in rows(project, "looks") if row["kind"] == kind])
    assert found.pop(fault) == EACH
    assert found.total() <= others, found


def test_what_is_unusually_far_is_planted_and_two_of_five_planted_ones_are(project):
    far = [row for row in rows(project, "odd") if row["split"] == "test"]
    found = faults([row["id"] for row in far if float(row["score"]) > 3.5])
    assert found["photograph"] <= 2, found
    assert found["blank"] == found["noise"] == EACH
    assert found["blurred"] + found["foreign"] >= EACH
    assert found.total() >= 22, found


def test_two_of_three_of_the_farthest_tenth_are_planted(project):
    """Turned pictures are the hardest: the network knows them nearly as well."""
    found = faults([row["id"] for row in rows(project, "odd") if row["split"] == "test"])
    assert found.total() == 66
    assert found["photograph"] <= 26, found
    assert min(found["foreign"], found["blurred"], found["grainy"]) >= 5, found


def test_groups_of_planted_ones_are_isolated_and_none_of_photographs_is(project):
    groups: dict[str, list[str]] = {}
    for row in rows(project, "groups"):
        groups.setdefault(row["split"] + row["group"], []).append(row["id"])
    kinds = [set(faults(ids)) for ids in groups.values()]
    assert {"blank"} in kinds
    assert {"noise"} in kinds
    assert {"photograph"} not in kinds

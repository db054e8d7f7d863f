"""Images that are added, removed, renamed or moved: what `dvc repro` runs and computes again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import Project
from tiny import NETWORK, SHORT, SMALL

pytestmark = pytest.mark.long


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (36, 40, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("pets")
    for number, split in enumerate(("train", "test")):
        for kind, name in enumerate(("cat", "dog")):
            for image in range(4):
                picture(folder / f"store/{split}/{name}/{image}.png", 100 * number + 10 * kind + image)
    model = NETWORK | {"weights": "random", "preprocess": SMALL, "train": SHORT}
    dataset = {"kind": "folder", "root": str(folder / "store"), "train": "train", "test": "test"}
    params = {
        "dataset": dataset | {"name": "pets"},
        "models": {"net": model},
        "extract": {"device": "cpu", "batch_size": 8, "workers": 0},
    }
    project = Project.copy_to(folder / "project", params)
    done = project.repro("extract@net")
    assert done.code == 0, done.err
    return project


def repro(project: Project) -> tuple[set[str], int]:
    """The stages that were run, and the rows that were computed."""
    done = project.repro("extract@net")
    assert done.code == 0, done.err
    return set(done.stages), sum(map(int, re.findall(r"(\d+) computed", done.out + done.err)))


def test_only_what_is_new_is_computed_and_only_what_a_training_learns_from_trains(project):
    root = Path(project.params["dataset"]["root"])
    picture(root / "test/cat/4.png", 1000)
    assert repro(project) == ({"dataset", "extract@net"}, 1)
    (root / "test/cat/0.png").rename(root / "test/cat/zero.png")
    assert repro(project) == ({"dataset", "extract@net"}, 0)
    (root / "test/cat/1.png").unlink()
    assert repro(project) == ({"dataset", "extract@net"}, 0)
    # nor does it matter for a training what an image is called
    (root / "train/cat/0.png").rename(root / "train/cat/00.png")
    assert repro(project) == ({"dataset", "extract@net"}, 0)
    # a class under another name is in the model's card and in the files: it is made again
    (root / "train/dog").rename(root / "train/hound")
    (root / "test/dog").rename(root / "test/hound")
    assert repro(project)[0] == {"dataset", "model@net", "extract@net"}


def test_a_moved_root_runs_only_the_stages_that_look_for_the_images(project):
    root = Path(project.params["dataset"]["root"])
    moved = root.rename(root.with_name("moved"))
    project.set(dataset__root=str(moved))
    assert repro(project) == ({"params", "images", "dataset"}, 0)
    # a link to it, a level higher, as a colleague has it
    shutil.rmtree(project.folder / "data/raw")
    (project.folder / "data/linked").symlink_to(moved)
    project.set(dataset__root="data/linked")
    assert repro(project) == ({"params", "images", "dataset"}, 0)


def test_another_name_of_the_data_set_trains_and_computes_nothing(project):
    project.set(dataset__name="animals")
    assert repro(project) == ({"params", "images", "dataset", "extract@net"}, 0)

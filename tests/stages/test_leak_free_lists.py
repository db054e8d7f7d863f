"""A list of duplicates, copied into dataset.exclude: afterwards no training image is near a test image."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pool5.datasets.manifest import image_addresses, read_manifest
from pool5.images.image_file import read_image
from pool5.project import Project
from pool5.results.duplicates import DuplicatesResult
from pool5.results.record import load_record
from pool5.stages import dataset, duplicates
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_writer import write_feature_file
from tests.stages.small_project import KEY, MODEL, put_graph

THRESHOLD = 0.98
COPIES = {
    "recompressed.jpg": lambda image: image,
    "mirrored.png": ImageOps.mirror,
    "resized.png": lambda image: image.resize((50, 40)),
}


def drawn(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((100, 80), Image.Resampling.BICUBIC)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Thirty images to train with, twelve to test with, and copies of four of the latter among the former."""
    monkeypatch.chdir(tmp_path)
    for split, seeds in (("train", range(100, 130)), ("test", range(12))):
        for seed in seeds:
            folder = tmp_path / "images" / split / "noise"
            folder.mkdir(parents=True, exist_ok=True)
            drawn(seed).save(folder / f"{seed}.png")
    for seed in range(4):
        for name, change in COPIES.items():
            change(drawn(seed)).save(tmp_path / "images/train/noise" / f"{seed}-{name}")
    return Project()


def found_after_a_run(project: Project, exclude: list[str]) -> DuplicatesResult:
    """The stages dataset and duplicates; small pictures that mirroring does not change stand for features."""
    data = {"name": "toy", "kind": "folder", "root": "images", "train": "train", "test": "test"}
    data |= {"exclude": exclude} if exclude else {}
    params = {
        "dataset": data,
        "models": {"net": MODEL},
        "duplicates": {"of": "net/fc", "threshold": THRESHOLD},
    }
    Path(project.params).write_text(json.dumps(params))
    dataset.main()
    files = []
    for split in ("train", "test"):
        manifest = read_manifest(project.manifest(split))
        pictures = image_addresses(manifest, project.images("images")).values()
        seen = [
            Image.fromarray(read_image(where)).resize((12, 10), Image.Resampling.BOX) for where in pictures
        ]
        rows = np.stack(
            [np.asarray(p, np.float32) + np.asarray(ImageOps.mirror(p), np.float32) for p in seen]
        )
        path = project.features("net", split)
        write_feature_file(
            path,
            **{"dataset": "toy", "split": split, "model": "net", "classes": manifest.classes},
            **{"ids": manifest.ids, "digests": manifest.digests, "labels": manifest.labels},
            layers={"fc": (rows - 255).reshape(len(rows), -1)},
            keys={"fc": KEY},
        )
        files.append(FeatureFile.open(path))
    put_graph(project, files)
    duplicates.main()
    return load_record(DuplicatesResult, project.result("duplicates"))


def leaks(result: DuplicatesResult) -> int:
    return sum(pair.split_a != pair.split_b for pair in result.pairs)


def test_after_the_list_is_excluded_no_training_image_is_near_a_test_image(project: Project) -> None:
    before = found_after_a_run(project, [])
    assert leaks(before) == 12
    assert sorted(map(len, (group.images for group in before.groups))) == [4, 4, 4, 4]
    shutil.copy(project.report("duplicates", "leave-out.txt"), "leave-out.txt")
    after = found_after_a_run(project, ["leave-out.txt"])
    assert leaks(after) == 0
    assert len(read_manifest(project.manifest("train"))) == 30
    assert len(read_manifest(project.manifest("test"))) == 12
    assert after.left_out == ()

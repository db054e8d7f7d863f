"""A data set small enough to train on within seconds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from pool5.datasets.manifest import Manifest
from pool5.params import Model, Preprocess, Train


class Toy(NamedTuple):
    """Images whose colour says their class."""

    root: Path
    train: Manifest
    val: Manifest

    def model(self, recipe: Train, architecture: str = "shufflenet_v2_x0_5", crop: int = 32) -> Model:
        return Model(
            architecture=architecture,
            weights="random",
            layers={"fc7": "mean"},
            preprocess=Preprocess(resize=crop + 4, crop=crop),
            train=recipe,
        )


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """These networks are too small to share, and the bytes depend on the number of threads."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Toy:
    root = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    ids = np.array([f"{number:06d}" for number in range(32)])
    labels = np.where(rng.random((32, 3)) < 0.4, 1, -1).astype(np.int8)
    labels[rng.random((32, 3)) < 0.05] = 0
    for row, name in enumerate(ids):
        height, width = rng.integers(40, 80, 2)
        pixels = rng.integers(0, 100, (height, width, 3)) + 120 * (labels[row] == 1)
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"{name}.png")
    whole = Manifest(
        split="trainval",
        classes=("red", "green", "blue"),
        ids=ids,
        paths=np.array([f"{name}.png" for name in ids]),
        digests=rng.integers(0, 256, (32, 16)).astype(np.uint8),
        sizes=np.full((32, 2), 60, np.int32),
        labels=labels,
    )
    return Toy(root, whole, whole.take(np.arange(24, 32)))

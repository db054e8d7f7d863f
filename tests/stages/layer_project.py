"""A small project with stored layers of two splits, for the stages that work layer by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from pool5.project import Project
from pool5.stages import params as params_stage
from pool5.store.feature_file import write_feature_file
from pool5.store.feature_key import FeatureKey

RECIPES = Path(__file__).parents[2] / "recipes.yaml"


def write_project(root: Path, *, train: np.ndarray, test: np.ndarray, **sections: dict) -> Project:
    """Write params.yaml with some sections, and layers `fc7` and `pool5` (half of it) of a model."""
    project = Project(root)
    network = {
        "architecture": "resnet18",
        "weights": "random",
        "layers": {"fc7": "flatten", "pool5": "flatten"},
    }
    network["preprocess"] = {"resize": 8, "crop": 8}
    dataset = {"name": "invented", "kind": "folder", "root": "images", "train": "train", "test": "test"}
    project.params.write_text(yaml.safe_dump({"dataset": dataset, "models": {"net": network}, **sections}))
    project.recipes.write_text(RECIPES.read_text())
    for split, vectors in (("train", train), ("test", test)):
        write_layers(project, split, vectors)
    return project


def write_layers(project: Project, split: str, vectors: np.ndarray) -> None:
    """Write a split's feature file."""
    layers = {"fc7": vectors, "pool5": np.ascontiguousarray(vectors[:, : vectors.shape[1] // 2])}
    keys = {
        layer: FeatureKey(
            architecture="net",
            weights_sha256="0" * 64,
            node=layer,
            preprocessing={},
            precision="fp32",
            dtype="float32",
            recipe_version=1,
        )
        for layer in layers
    }
    write_feature_file(
        project.features("net", split),
        dataset="invented",
        split=split,
        model="net",
        classes=(),
        ids=np.array([f"{split}{number:05d}" for number in range(len(vectors))]),
        digests=np.zeros((len(vectors), 16), np.uint8),
        labels=np.zeros((len(vectors), 0), np.int8),
        layers=layers,
        keys=keys,
    )


def run_stage(main, project: Project, monkeypatch) -> None:
    """Run a stage as DVC does: in the project's folder, after the stage params."""
    monkeypatch.chdir(project.root)
    params_stage.main()
    main()


def random_features(rows: int, width: int = 24, seed: int = 0) -> np.ndarray:
    """What a network gives: not negative, half of it zero."""
    return np.maximum(np.random.default_rng(seed).standard_normal((rows, width)), 0).astype(np.float32)

"""A project of one model and one layer: its images, features and neighbor graph, made in milliseconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.params import Metric
from pool5.project import Project
from pool5.search.neighbor_graph import GraphSettings, write_graph
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from pool5.store.neighbor_file import NeighborFile, graph_name

KEY = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1)
MODEL = {
    "architecture": "resnet18",
    "weights": "random",
    "layers": {"fc": "fc"},
    "preprocess": {"resize": 8, "crop": 8},
}


def put_split(
    project: Project,
    split: str,
    vectors: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...] = ("cat", "dog", "person"),
    digests: np.ndarray | None = None,
) -> FeatureFile:
    """Write a split's images, manifest and features; without `digests` all files differ."""
    count = len(vectors)
    if digests is None:
        digests = np.random.default_rng(count).integers(0, 256, (count, 16), dtype=np.uint8)
    ids = np.array([f"{split}{number:04d}" for number in range(count)])
    paths = np.array([f"{split}.png"] * count)
    Path(project.images("images")).mkdir(exist_ok=True)
    Image.new("RGB", (8, 6), "gray").save(Path(project.images("images")) / f"{split}.png")
    sizes = np.tile(np.int32([8, 6]), (count, 1))
    labels = np.asarray(labels, np.int8).reshape(count, len(classes))
    write_manifest(Manifest(split, classes, ids, paths, digests, sizes, labels), project.manifest(split))
    path = project.features("net", split)
    write_feature_file(
        path,
        **{"dataset": "toy", "split": split, "model": "net", "classes": classes, "ids": ids},
        **{"digests": digests, "labels": labels},
        layers={"fc": np.asarray(vectors, np.float32)},
        keys={"fc": KEY},
    )
    return FeatureFile.open(path)


def put_graph(
    project: Project, files: list[FeatureFile], metric: Metric = "cosine", depth: int = 100
) -> NeighborFile:
    """Write the neighbor graph of the layer, as `net/fc` or under its other metric's name."""
    path = project.neighbors(graph_name("net/fc", metric, "cosine"))
    write_graph(files, "fc", GraphSettings(metric, depth, 10**6, 1.0, 0), path)
    return NeighborFile.open(path)


def put_params(project: Project, **sections: object) -> None:
    """Write params.yaml (JSON is YAML), and the recipes beside it."""
    shutil.copy(Path(__file__).parents[2] / "recipes.yaml", project.recipes)
    dataset = {"name": "toy", "kind": "folder", "root": "images", "train": "train", "test": "test"}
    Path(project.params).write_text(json.dumps({"dataset": dataset, "models": {"net": MODEL}, **sections}))

"""A project that the commands are tried on: a drawn data set, one network, its layer and an index."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import faiss
import numpy as np
from PIL import Image

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.params import load_params
from pool5.project import Project
from pool5.search.faiss_index import build_index
from pool5.search.index_card import describe, write_card
from pool5.store.feature_file import FeatureFile

PARAMS = """
dataset: {name: toy, kind: folder, root: data/raw/toy, train: train, test: test}
models:
  net:
    architecture: mobilenet_v3_small
    weights: random
    layers: {pooled: flatten}
    preprocess: {resize: 72, crop: 64}
    train: null
extract: {device: cpu, batch_size: 16, workers: 0}
index: {of: [net/pooled]}
neighbors: {of: [net/pooled]}
duplicates: {of: net/pooled}
tsne: {of: [net/pooled]}
probe: {p: {of: net/pooled}}
ap: {of: [p]}
"""
CLASSES = ("cat", "dog", "person")
TEST_ROWS = 230


def images(folder: Path, split: str, prefix: str, count: int, seed: int) -> Manifest:
    """Pictures of a few coloured blocks; 000003 has two copies."""
    rng = np.random.default_rng(seed)
    ids = [f"{prefix}{number:05d}" for number in range(count)]
    paths = [f"{name}.png" for name in ids]
    (folder / "data/raw/toy").mkdir(parents=True, exist_ok=True)
    for path in paths:
        blocks = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        blocks.resize((80, 72), Image.Resampling.NEAREST).save(folder / "data/raw/toy" / path)
    for copy in (7, 100):
        shutil.copy(folder / "data/raw/toy" / paths[3], folder / "data/raw/toy" / paths[copy])
    files = [(folder / "data/raw/toy" / path).read_bytes() for path in paths]
    labels = np.where(rng.random((count, 3)) < 0.4, 1, -1).astype(np.int8)
    labels[:, 2] = -1
    return Manifest(
        split=split,
        classes=CLASSES,
        ids=np.array(ids),
        paths=np.array(paths),
        digests=np.array(
            [np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint8) for data in files]
        ),
        sizes=np.tile(np.array([80, 72], np.int32), (count, 1)),
        labels=labels,
    )


def make_project(folder: Path) -> None:
    """A project with one extracted model and its index."""
    from pool5.extract.extract_layers import extract_model
    from pool5.models.weights import start_network, store_start

    project = Project(folder)
    folder.mkdir(parents=True, exist_ok=True)
    project.params.write_text(PARAMS)
    write_manifest(images(folder, "test", "0", TEST_ROWS, 0), project.manifest("test"))
    write_manifest(images(folder, "train", "9", 120, 1), project.manifest("train"))
    params = load_params(project.params)
    start = start_network("net", params.models["net"], CLASSES, project.models)
    store_start("net", start, project.model("net"))
    extract_model("net", params, project)
    features = FeatureFile.open(project.features("net", "test"))
    index, trained = build_index(features.layer("pooled"), "HNSW16", "cosine", seed=0)
    card = describe(
        features,
        "pooled",
        "cosine",
        factory="HNSW16",
        reason="",
        seed=0,
        training_rows=trained,
        search={"efSearch": 200},
        faiss=faiss.__version__,
    )
    path = project.index("net/pooled")
    path.parent.mkdir(parents=True, exist_ok=True)
    faiss.write_index(index, str(path))
    write_card(path, card)

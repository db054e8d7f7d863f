"""Feature files of one layer, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pool5.params import Probe
from pool5.probe.kind import ProbeTask
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

KEY = FeatureKey("net", "0" * 64, "flatten", {}, "fp32", "float32", 1)


def put_features(path: Path, split: str, features: np.ndarray, labels: np.ndarray) -> FeatureFile:
    """A file of the model `net` with the layer `fc7`; the classes are c0, c1, …"""
    count, classes = len(features), tuple(f"c{c}" for c in range(labels.shape[1]))
    ids, digests = np.array([f"{split}{row:04}" for row in range(count)]), np.zeros((count, 16), np.uint8)
    write_feature_file(
        path,
        **{"dataset": "toy", "split": split, "model": "net", "classes": classes, "ids": ids},
        **{"digests": digests, "labels": labels.astype(np.int8)},
        layers={"fc7": features.astype(np.float32)},
        keys={"fc7": KEY},
    )
    return FeatureFile.open(path)


def put_task(folder: Path, settings: Probe, labels: np.ndarray, truth: np.ndarray, width=24) -> ProbeTask:
    """A probe on features that show the labels under some noise."""
    files = []
    for split, given in (("train", labels), ("test", truth)):
        rng = np.random.default_rng(len(split))
        features = rng.normal(size=(len(given), width))
        features[:, : given.shape[1]] += given
        files.append(put_features(folder / f"{split}.h5", split, features, given))
    return ProbeTask("p", settings, *files, folder)


def draw_labels(count: int, shares: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """(count, K) int8: 1 with the probability of the class's share, 0 with .03, else -1."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((count, len(shares))) < shares, 1, -1)
    labels[rng.random(labels.shape) < 0.03] = 0
    return labels.astype(np.int8)

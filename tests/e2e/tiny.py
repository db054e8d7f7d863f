"""A project as small as it can be, run once: what its stages read, and which values they give.

Run as a program on a new folder. The stages after `extract` read features that are drawn here and not
computed by a network, so that a change of one stage shows in that stage's values alone, and so that another
processor's rounding does not change who is whose neighbor.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
# a training's sums depend on the number of threads
os.environ["OMP_NUM_THREADS"] = "1"

SHORT = {"epochs": 1, "batch_size": 8, "optimizer": "adamw", "lr": 0.001}
# AdamW's first step is the sign of the gradient, which another rounding turns where it is nearly zero
SMOOTH = {"epochs": 1, "batch_size": 8, "optimizer": "sgd", "lr": 0.003}
NETWORK = {"architecture": "resnet18", "layers": {"fc7": "flatten", "logits": "fc"}}
SMALL = {"resize": 36, "crop": 32}
PARAMS: dict[str, Any] = {
    "dataset": {
        "name": "sample",
        "kind": "voc",
        "root": "data/raw/sample",
        "train": "trainval",
        "val": "val",
        "test": "test",
        "sample": {"train": 18, "val": 6, "test": 24, "source": 8},
    },
    "models": {
        "caffenet": {
            "architecture": "caffenet",
            "weights": "random",
            "layers": {"pool5": "pool5", "logits": "logits"},
            # the smallest side that its three poolings leave something of
            "preprocess": {"resize": 80, "crop": 75},
            "train": SHORT | {"hold_out": True, "keep": "best"},
        },
        "source": NETWORK | {"weights": "random", "preprocess": SMALL, "train": SMOOTH | {"split": "source"}},
        "tuned": NETWORK | {"weights": "source", "preprocess": SMALL, "train": SMOOTH},
        "plain": NETWORK | {"weights": "random", "preprocess": SMALL},
    },
    "extract": {"device": "cpu", "batch_size": 8, "workers": 0},
    "derive": {
        "small": {"of": "tuned/fc7", "steps": ["l2", {"pca": 8}, "whiten"]},
        "centred": {"of": "small/fc7", "steps": ["center", "l2"]},
    },
    "index": {"of": ["caffenet/pool5", "tuned/fc7"], "queries": 10},
    "neighbors": {"of": ["caffenet/pool5", "tuned/fc7"], "queries": 2, "depth": 12, "bootstrap": 20},
    "duplicates": {"of": "tuned/fc7", "threshold": 0.9},
    "tsne": {"of": ["tuned/fc7"], "sample": 20, "perplexity": 4, "stability_seeds": 1},
    "maps": {
        "of": ["tuned/fc7"],
        "methods": ["pca"],
        "clusters": "kmeans",
        "k": 3,
        "sample": 20,
        "stability_seeds": 1,
    },
    "compare": {
        "of": ["caffenet/pool5", "tuned/fc7", "plain/fc7"],
        "k": 4,
        "bootstrap": 20,
        "permutations": 3,
    },
    "outliers": {"of": ["tuned/fc7"], "k": 4, "listed": 6},
    "probe": {
        "frozen": {"of": "plain/fc7", "C": [0.1, 1.0], "folds": 2},
        "near": {"of": "plain/fc7", "kind": "knn", "k": 5, "shots": [1, 2], "repeats": 2},
    },
    "label_issues": {"of": ["frozen", "near"], "listed": 4, "least": 0.01, "threshold": 0.9},
    "ap": {
        "of": ["caffenet", "frozen", "tuned"],
        "protocols": ["voc2007", "area", "sklearn"],
        "bootstrap": 20,
    },
}


def write_project(folder: Path, params: dict[str, Any] = PARAMS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / name, folder / name)
    # by way of JSON: what two sections share would be written as an alias, which is refused
    plain = json.loads(json.dumps(params))
    (folder / "params.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))


def put_known_features(folder: Path) -> None:
    """Keep what was extracted in `extracted/`, and put drawn values of the same shape in its place.

    What an image shows is in its values, so that there is something to find; a copy of an image's row is put
    into the other split.
    """
    from pool5.store.feature_file import FeatureFile
    from pool5.store.feature_key import FeatureKey
    from pool5.store.feature_writer import write_feature_file

    shutil.copytree(folder / "data/features", folder / "extracted")
    for path in sorted(folder.glob("data/features/*/*.h5")):
        file = FeatureFile.open(path)
        layers = {name: _drawn(file.labels, file.layer(name).shape[1], file, name) for name in file.layers}
        keys = {
            name: FeatureKey("drawn", "0" * 64, name, file.key(name)["preprocessing"], "fp32", "float32", 1)
            for name in layers
        }
        same = {name: getattr(file, name) for name in ("dataset", "split", "model", "classes", "ids")}
        rows = {"digests": file.digests.copy(), "labels": file.labels.copy()}
        path.chmod(0o644)
        write_feature_file(path, **same, **rows, layers=layers, keys=keys)


def _drawn(labels: np.ndarray, width: int, file: Any, layer: str) -> np.ndarray:
    """(N, width) float32: thirds of small integers, which every processor adds and multiplies alike."""
    seed = int.from_bytes(hashlib.sha256(f"{file.model}/{layer}".encode()).digest()[:4], "big")
    shown = (labels == 1).astype(np.float32)
    if layer == "logits":
        noise = np.random.default_rng([seed, len(labels)]).integers(-8, 9, labels.shape)
        return (4 * shown + noise).astype(np.float32) / 4
    classes = np.random.default_rng(seed).integers(-4, 5, (labels.shape[1], width))
    noise = np.random.default_rng([seed, len(labels)]).integers(-4, 5, (len(labels), width))
    noise[0] = 1  # the first image of each split: nearly the same row
    values = shown @ classes + noise
    values[0] = classes[0]
    return values.astype(np.float32) / 4


if __name__ == "__main__":
    from audited import run_all

    write_project(Path(sys.argv[1]))
    run_all(Path(sys.argv[1]), {"derive": put_known_features})

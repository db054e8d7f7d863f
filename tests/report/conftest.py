"""The files of a small run, in the forms that the other stages write them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.figures.palette import class_colours, hex_colours, mean_colour
from pool5.models.card import ModelCard, write_card
from pool5.params import Params, load_params
from pool5.store.feature_file import feature_path, write_feature_file
from pool5.store.feature_key import FeatureKey

CLASSES = ("aeroplane", "bird", "car", "cat", "dog", "person")
LAYERS = ("caffenet/pool5", "resnet18/fc7")
MODELS = ("caffenet", "probe")


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder with data/ and reports/, its parameters, and what was put into it."""

    folder: Path
    params: Params
    ids: list[str]
    labels: np.ndarray
    features: dict[str, np.ndarray]
    places: dict[str, np.ndarray]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def on_map(self) -> list[str]:
        """The ids of the first map's points."""
        with (self.reports / "tsne" / LAYERS[0] / "map.csv").open(newline="") as file:
            return [row["id"] for row in csv.DictReader(file)]


def draw_photos(folder: Path, labels: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Noisy pictures with one coloured block a class; returns their paths from `folder`."""
    colours = np.rint(class_colours(CLASSES) * 255).astype(np.uint8)
    paths = []
    for number, row in enumerate(labels):
        width, height = [(160, 120), (120, 160), (150, 150)][number % 3]
        picture = rng.integers(90, 166, (height, width, 3), dtype=np.uint8)
        for place, klass in enumerate(np.flatnonzero(row == 1)):
            picture[20 + 30 * place : 45 + 30 * place, 15 : width - 15] = colours[klass]
        name = f"images/{number:06}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name, quality=90)
        paths.append(name)
    return paths


def draw_labels(count: int, rng: np.random.Generator) -> np.ndarray:
    """Every image has one class, every third two; some instances are only difficult."""
    labels = np.full((count, len(CLASSES)), -1, np.int8)
    labels[np.arange(count), np.arange(count) % len(CLASSES)] = 1
    labels[::3, -1] = 1
    hidden = (rng.random(labels.shape) < 0.03) & (labels == -1)
    labels[hidden] = 0
    return labels


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_picture(path: Path, width: int = 900, height: int = 500) -> None:
    """A stand-in for a figure of another stage."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tile(np.arange(width) % 256, (height, 1)).astype(np.uint8)).convert("RGB").save(path)


def small_params(folder: Path) -> Params:
    (folder / "params.yaml").write_text(f"""
dataset: {{name: little, kind: folder, root: {folder / "photos"}, train: trainval, test: test, val: null}}
models:
  caffenet:
    architecture: caffenet
    weights: random
    layers: {{pool5: pool5}}
    preprocess: {{resize: 256, crop: 224}}
    train: null
  resnet18:
    architecture: resnet18
    weights: imagenet
    layers: {{fc7: flatten, logits: fc}}
    preprocess: {{resize: 256, crop: 224}}
    train: null
extract: {{}}
index: {{of: [caffenet/pool5, resnet18/fc7]}}
neighbors: {{of: [caffenet/pool5, resnet18/fc7]}}
duplicates: {{of: resnet18/fc7}}
tsne: {{of: [caffenet/pool5, resnet18/fc7]}}
probe: {{probe: {{of: resnet18/fc7}}}}
ap: {{of: [probe], protocols: [voc2007, area]}}
""")
    return load_params(folder / "params.yaml")


def write_store(folder: Path, params: Params, labels: np.ndarray, rng: np.random.Generator) -> Run:
    """Photographs, manifests, model cards and feature files: what the page cannot do without."""
    ids = [f"{number:06}" for number in range(len(labels))]
    paths = draw_photos(folder / "photos", labels, rng)
    digests = np.stack(
        [np.frombuffer(hashlib.blake2b(i.encode(), digest_size=16).digest(), np.uint8) for i in ids]
    )
    for split in ("trainval", "test"):
        manifest = Manifest(
            "little",
            split,
            CLASSES,
            np.array(ids),
            np.array(paths),
            digests,
            np.tile(np.int32([160, 120]), (len(ids), 1)),
            labels,
        )
        write_manifest(manifest, folder / "data/manifest" / f"{split}.csv")
    centres = rng.normal(size=(len(CLASSES), 16))
    features = {}
    for strength, name in enumerate(LAYERS, start=1):
        model, layer = name.split("/")
        write_card(
            folder / "data/models" / model,
            ModelCard(
                model, 6, 224, CLASSES, hashlib.sha256(model.encode()).hexdigest(), "random weights, seed 0"
            ),
        )
        vectors = ((labels == 1) @ centres * strength + rng.normal(size=(len(ids), 16))).astype(np.float32)
        preprocessing = {"resize": 256, "crop": 224}
        key = FeatureKey(model, "0" * 64, layer, preprocessing, "fp32", "float32", 1)
        layers, keys = {layer: vectors}, {layer: key}
        if model == "resnet18":
            layers["logits"], keys["logits"] = vectors[:, :6].copy(), dataclasses.replace(key, node="fc")
        write_feature_file(
            feature_path(model, "test", folder / "data/features"),
            dataset="little", split="test", model=model, classes=CLASSES, ids=np.array(ids), digests=digests,
            labels=labels, layers=layers, keys=keys,
        )  # fmt: skip
        features[name] = vectors
    return Run(folder, params, ids, labels, features, {})


def write_maps(run: Run, on_map: np.ndarray) -> None:
    """The first two dimensions of the features stand in for a t-SNE."""
    colours = hex_colours(mean_colour(run.labels, class_colours(CLASSES)))
    for name, vectors in run.features.items():
        rows = [
            [run.ids[row], *vectors[row, :2], " ".join(np.array(CLASSES)[run.labels[row] == 1]), colours[row]]
            for row in on_map
        ]
        write_csv(run.reports / "tsne" / name / "map.csv", ["id", "x", "y", "labels", "colour"], rows)
        write_picture(run.reports / "tsne" / name / "panels.png")
        write_json(
            run.reports / "metrics/tsne" / f"{name}.json",
            {
                "backend": "sklearn",
                "images": len(on_map),
                "neighbors": 10,
                "kl": 0.81234,
                "trustworthiness": 0.97,
                "knn_preservation": 0.4,
                "stability": 0.6,
                "purity": {"cat": 0.7},
                "purity_in_layer": {"cat": 0.8},
                "chance": {"cat": 0.2},
            },
        )
        run.places[name] = vectors[:, :2]


def write_tables(run: Run, rng: np.random.Generator) -> None:
    """Precision, differences, retrieval, duplicates, search quality, curves, hard classes."""
    precision, differences = [], []
    for protocol in ("voc2007", "area"):
        for number, name in enumerate((*CLASSES, "mAP")):
            chance = round(0.1 + 0.05 * number, 3)
            for model in MODELS:
                value = round(float(rng.uniform(chance, 0.95)), 6)
                row = [value, value - 0.04, value + 0.04, 10 + number, chance]
                if name == "aeroplane":
                    row = ["", "", "", 0, 0]
                if name == "mAP":
                    row[3:] = ["", ""]
                precision.append([name, model, protocol, *row])
            gain = round(float(rng.uniform(-0.1, 0.2)), 6)
            row = ["", "", ""] if name == "aeroplane" else [gain, gain - 0.05, gain + 0.05]
            differences.append([name, protocol, "probe", "caffenet", *row])
    write_csv(
        run.reports / "ap/ap.csv",
        ["class", "model", "protocol", "ap", "lo", "hi", "positives", "chance"],
        precision,
    )
    write_csv(
        run.reports / "ap/differences.csv",
        ["class", "protocol", "model", "baseline", "difference", "lo", "hi"],
        differences,
    )
    retrieval = [
        [name, group, measure, 0.5 + 0.1 * number, 0.45, 0.75, 0.22, 60]
        for number, name in enumerate(LAYERS)
        for group in ("all", "with person", "without person")
        for measure in ("P@4", "mAP@4", "NDCG@100")
    ]
    columns = ["representation", "group", "measure", "value", "lo", "hi", "chance", "queries"]
    write_csv(run.reports / "neighbors/retrieval.csv", columns, retrieval)
    pairs = [
        ["test", "000001", "test", "000007", 0.999, "True"],
        ["trainval", "000002", "test", "000003", 0.96, "False"],
    ]
    columns = ["split_a", "id_a", "split_b", "id_b", "similarity", "identical_bytes"]
    write_csv(run.reports / "duplicates/duplicates.csv", columns, pairs)
    for name in LAYERS:
        write_json(
            run.reports / "metrics/search" / f"{name}.json",
            {"recall@1": 1.0, "recall@10": 0.987654, "vectors": 60},
        )
        write_json(run.data / "indexes" / f"{name}.json", {"factory": "Flat"})
        write_picture(run.reports / "search" / name / "pareto.png")
    for picture in ("ap/ap", "ap/differences", "neighbors/sheet", "duplicates/sheet", "hard/bird"):
        write_picture(run.reports / f"{picture}.png")
    write_json(
        run.reports / "hard/hard.json",
        [
            {
                "class": "bird",
                "why_shown": ["lowest AP"],
                "model": "probe",
                "text": "probe reaches AP 0.300 <where> chance is 0.150.",
                "false_alarms": 4,
                "confusions": [{"class": "cat", "share": 0.5, "expected": 0.2}],
                "size": None,
                "number": {
                    "clear": False,
                    "correlation": 0.1,
                    "groups": [{"name": "one object", "found": 3, "images": 8}],
                },
                "sheets": ["bird.png"],
            }
        ],
    )
    curve = run.reports / "training/caffenet/plots/metrics/train"
    curve.mkdir(parents=True)
    (curve / "loss.tsv").write_text("step\tloss\n0\t0.7\n1\t0.4\n2\t0.3\n")


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    """A whole run of 60 images, 48 of them on the maps."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    run = write_store(folder, small_params(folder), draw_labels(60, rng), rng)
    write_maps(run, np.sort(rng.permutation(60)[:48]))
    write_tables(run, rng)
    return run


@pytest.fixture(scope="session")
def bare_run(tmp_path_factory) -> Run:
    """A run of which only the store is there: no map, no table."""
    folder = tmp_path_factory.mktemp("bare")
    rng = np.random.default_rng(1)
    return write_store(folder, small_params(folder), draw_labels(12, rng), rng)

"""A small run: the records and files that the other stages leave."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.figures.palette import class_colours
from pool5.models.card import ModelCard, write_card
from pool5.params import Params, load_params
from pool5.project import Project
from pool5.results.ap import ApDifference, ApResult, ApRow
from pool5.results.duplicates import DuplicatePair, DuplicatesResult, PairCount
from pool5.results.hard import Confusion, Group, HardClass, HardResult, Influence
from pool5.results.index_quality import IndexQuality, OperatingPoint
from pool5.results.record import save_record
from pool5.results.retrieval import MeasuredGroup, RetrievalResult, ShownQuery
from pool5.results.training import Epoch, TrainingResult
from pool5.results.tsne_map import ClassOnMap, TsneResult
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.feature_key import FeatureKey
from pool5.store.neighbor_file import GraphHead, GraphSplit, write_neighbors

CLASSES = ("aeroplane", "bird", "car", "cat", "dog", "person")
LAYERS = ("caffenet/pool5", "resnet18/fc7")
MODELS = ("caffenet", "probe")


@dataclasses.dataclass(frozen=True)
class Run:
    """A project's folder, its parameters, and what was put into it."""

    folder: Path
    params: Params
    ids: list[str]
    labels: np.ndarray
    features: dict[str, np.ndarray]
    places: dict[str, np.ndarray]

    on_map: list[str] = dataclasses.field(default_factory=list)

    @property
    def project(self) -> Project:
        return Project(self.folder)

    @property
    def page(self) -> Path:
        return self.project.report("index.html")


def draw_photos(folder: Path, labels: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Noisy pictures with one coloured block a class; returns their paths from `folder`."""
    colours = np.rint(class_colours(range(max(labels.shape[1], 1))) * 255).astype(np.uint8)
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
    layers: {{pool5: pool5, logits: logits}}
    preprocess: {{resize: 256, crop: 224}}
    train: {{epochs: 3, batch_size: 8, lr: 0.001}}
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
ap: {{of: [caffenet, probe], protocols: [voc2007, area]}}
""")
    return load_params(folder / "params.yaml")


def write_store(
    folder: Path, params: Params, labels: np.ndarray, rng: np.random.Generator, classes=CLASSES
) -> Run:
    """Photographs, manifests, model cards, feature files and graphs: what the page cannot do without."""
    project = Project(folder)
    ids = [f"{number:06}" for number in range(len(labels))]
    paths = draw_photos(folder / "photos", labels, rng)
    digests = np.stack(
        [np.frombuffer(hashlib.blake2b(i.encode(), digest_size=16).digest(), np.uint8) for i in ids]
    )
    for split in ("trainval", "test"):
        sizes = np.tile(np.int32([160, 120]), (len(ids), 1))
        manifest = Manifest(split, classes, np.array(ids), np.array(paths), digests, sizes, labels)
        write_manifest(manifest, project.manifest(split))
    centres = rng.normal(size=(labels.shape[1], 16))
    features = {}
    for strength, name in enumerate(LAYERS, start=1):
        model, layer = name.split("/")
        digest = hashlib.sha256(model.encode()).hexdigest()
        write_card(project.model(model), ModelCard(model, 6, 224, classes, digest, "random weights, seed 0"))
        vectors = ((labels == 1) @ centres * strength + rng.normal(size=(len(ids), 16))).astype(np.float32)
        preprocessing = {"resize": 256, "crop": 224}
        key = FeatureKey(model, "0" * 64, layer, preprocessing, "fp32", "float32", 1)
        logits = dataclasses.replace(key, node="fc")
        write_feature_file(
            project.features(model, "test"),
            dataset="little", split="test", model=model, classes=classes, ids=np.array(ids), digests=digests,
            labels=labels, layers={layer: vectors, "logits": vectors[:, :6].copy()},
            keys={layer: key, "logits": logits},
        )  # fmt: skip
        write_graph(project, name, vectors)
        features[name] = vectors
    return Run(folder, params, ids, labels, features, {})


def cosine_distances(vectors: np.ndarray) -> np.ndarray:
    """Of every two rows; a row from itself is infinitely far."""
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    np.fill_diagonal(distances, np.inf)
    return distances


def write_graph(project: Project, name: str, vectors: np.ndarray) -> None:
    """The graph of the test split, by brute force."""
    model, layer = name.split("/")
    file = FeatureFile.open(project.features(model, "test"))
    distances = cosine_distances(vectors)
    rows = np.argsort(distances, axis=1, kind="stable")[:, : min(len(vectors) - 1, 100)]
    split = GraphSplit("test", len(vectors), file.ids_digest, file.layer_digest(layer))
    pairs = [("test", "test", rows, np.take_along_axis(distances, rows, axis=1))]
    write_neighbors(project.neighbors(name), GraphHead("little", name, "cosine", 100, (split,)), pairs)


def write_maps(run: Run, on_map: np.ndarray) -> None:
    """The first two dimensions of the features stand in for a t-SNE."""
    run.on_map.extend(run.ids[row] for row in on_map)
    named = [ClassOnMap(class_name="cat", purity=0.7, purity_in_layer=0.8, chance=0.2)]
    for name, vectors in run.features.items():
        record = TsneResult(
            layer=name, split="test", images=len(on_map), backend="sklearn", perplexity=30, seed=0,
            ids=tuple(run.on_map), points=tuple(map(tuple, vectors[on_map, :2].astype(float).tolist())),
            neighbors=10, kl=0.81234, trustworthiness=0.97, knn_preservation=0.4, stability=0.6,
            by_class=tuple(named if run.labels.shape[1] else []),
        )  # fmt: skip
        save_record(record, run.project.result(f"tsne/{name}"))
        write_picture(run.project.report("tsne", name, "panels.png"))
        run.places[name] = vectors[:, :2]


def write_precision(run: Run, rng: np.random.Generator) -> None:
    """Precision, with a class that has no positives, and differences."""
    rows, differences = [], []
    measures = ("AP(voc2007)", "AP(area)")
    for measure in measures:
        for number, name in enumerate((*CLASSES, None)):
            chance, none = round(0.1 + 0.05 * number, 3), name == "aeroplane"
            for model in MODELS:
                ap = None if none else round(float(rng.uniform(chance, 0.95)), 6)
                lo, hi = (None, None) if ap is None else (ap - 0.04, ap + 0.04)
                part = ApRow(
                    class_name=name, model=model, measure=measure, ap=ap, lo=lo, hi=hi,
                    positives=0 if none else 10 + number, chance=chance,
                )  # fmt: skip
                rows.append(part)
            gain = None if none else round(float(rng.uniform(-0.1, 0.2)), 6)
            lo, hi = (None, None) if gain is None else (gain - 0.05, gain + 0.05)
            part = ApDifference(
                class_name=name, measure=measure, model="probe", baseline="caffenet", difference=gain,
                lo=lo, hi=hi,
            )  # fmt: skip
            differences.append(part)
    record = ApResult(
        split="test", images=60, classes=CLASSES, models=MODELS, measures=measures, resamples=1000, seed=0,
        rows=tuple(rows), differences=tuple(differences), gaps=("aeroplane: no positives, so no AP",),
    )  # fmt: skip
    save_record(record, run.project.result("ap"))


def write_neighborhoods(run: Run) -> None:
    """Retrieval, duplicates, search quality."""
    measured = tuple(
        MeasuredGroup(
            layer=name, group=group, is_class=group == "cat", measure=measure, value=0.5 + 0.1 * number,
            lo=0.45, hi=0.75, chance=0.22, queries=60,
        )
        for number, name in enumerate(LAYERS)
        for group in ("all", "with person", "without person", "cat")
        for measure in ("P@4", "mAP@4", "NDCG@100")
    )  # fmt: skip
    query = ShownQuery(id="000001", drawn_for="cat", labels=("cat",), neighbors={})
    record = RetrievalResult(split="test", metric="cosine", layers=LAYERS, queries=(query,), groups=measured)
    save_record(record, run.project.result("retrieval"))
    pairs = tuple(
        DuplicatePair(
            split_a=split, id_a=a, split_b="test", id_b=b, similarity=similarity, identical_bytes=identical
        )
        for split, a, b, similarity, identical in [
            ("test", "000001", "000007", 0.999, True),
            ("trainval", "000002", "000003", 0.96, False),
        ]
    )
    counts = tuple(
        PairCount(split_a=p.split_a, split_b=p.split_b, pairs=1, identical_bytes=int(p.identical_bytes))
        for p in pairs
    )
    save_record(
        DuplicatesResult(layer="resnet18/fc7", threshold=0.9, counts=counts, pairs=pairs),
        run.project.result("duplicates"),
    )
    point = OperatingPoint(setting={}, recall={"1": 1.0, "10": 0.987654}, compared=60, on_front=True)
    for name in LAYERS:
        record = IndexQuality(
            layer=name, split="test", factory="Flat", reason="as set", rows=60, bytes_per_vector=64.0,
            points=(point,), chosen=point, gaps=("no recall@100: the split has 60 images",),
        )  # fmt: skip
        save_record(record, run.project.result(f"index/{name}"))
        write_picture(run.project.report("search", name, "pareto.png"))


def write_hard(run: Run) -> None:
    influence = Influence(
        groups=(Group(name="one object", images=8, found=3),), correlation=-0.1, clear=False
    )
    bird = HardClass(
        class_name="bird", model="<probe>", measure="AP(voc2007)", why=("lowest AP",), ap=0.3, lo=0.2, hi=0.4,
        chance=0.15, over_chance=0.176, gain=None, gain_lo=None, gain_hi=None, gain_over=None, images=58,
        positives=8, found=3, false_alarms=4, last_place=50, size=None, number=influence, sheet="bird.png",
        confusions=(Confusion(class_name="cat", share=0.5, expected=0.2),),
    )  # fmt: skip
    save_record(HardResult(split="test", classes=(bird,)), run.project.result("hard"))


def write_training(run: Run) -> None:
    history = tuple(Epoch(loss=loss, lr=1e-3) for loss in (0.7, 0.4, 0.3))
    record = TrainingResult(model="caffenet", images=60, epochs=3, kept_epoch=3, history=history)
    save_record(record, run.project.result("training/caffenet"))


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    """A whole run of 60 images, 48 of them on the maps."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    run = write_store(folder, small_params(folder), draw_labels(60, rng), rng)
    write_maps(run, np.sort(rng.permutation(60)[:48]))
    write_precision(run, rng)
    write_neighborhoods(run)
    write_hard(run)
    write_training(run)
    for picture in ("ap/ap", "ap/differences", "neighbors/sheet", "duplicates/sheet", "hard/bird"):
        write_picture(run.project.report(f"{picture}.png"))
    return run


@pytest.fixture(scope="session")
def bare_run(tmp_path_factory) -> Run:
    """A run of which only the store is there: no map, no table."""
    folder = tmp_path_factory.mktemp("bare")
    rng = np.random.default_rng(1)
    return write_store(folder, small_params(folder), draw_labels(12, rng), rng)


@pytest.fixture(scope="session")
def unlabelled_run(tmp_path_factory) -> Run:
    """Images without labels, on two maps."""
    folder = tmp_path_factory.mktemp("unlabelled")
    rng = np.random.default_rng(2)
    labels = np.empty((12, 0), np.int8)
    run = write_store(folder, small_params(folder), labels, rng, classes=())
    write_maps(run, np.arange(12))
    return run

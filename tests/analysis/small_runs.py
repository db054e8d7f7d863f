"""Small projects of one layer and one probe, with the records of what they found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pool5.analysis.ap_comparison import compare_models
from pool5.analysis.retrieval import measure_retrieval
from pool5.analysis.runs.recorded_run import RecordedRun
from pool5.measures.average_precision import AP
from pool5.params import load_params
from pool5.project import Project
from pool5.results.record import save_record
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.logits_file import LogitsFile, write_logits
from tests.stages.small_project import put_graph, put_params, put_split

CLASSES = ("cat", "dog", "person")
COUNT = 60
LABELS = np.where(np.random.default_rng(0).random((COUNT, 3)) < 0.4, 1, -1).astype(np.int8)
IDS = np.array([f"test{number:04d}" for number in range(COUNT)])
NOISE = np.random.default_rng(1).normal(size=(2, COUNT, 3))
MEASURES = [AP("voc2007"), AP("area")]


def put_run(
    folder: Path,
    noise: float = 1.0,
    labels=LABELS,
    classes=CLASSES,
    ids=IDS,
    order=None,
    params=True,
    **sections,
) -> RecordedRun:
    """A project with the test logits of a probe, features, neighbors, and the records of them."""
    folder.mkdir(exist_ok=True)
    project = Project(folder)
    order = np.arange(len(labels)) if order is None else order
    shown = (labels == 1).astype(np.float32)
    logits = (shown + noise * NOISE[0, : len(labels)]).astype(np.float32)
    vectors = np.hstack([shown, noise * NOISE[1, : len(labels)]]).astype(np.float32)
    probe = {"p": {"of": "net/fc", "k": 5, "kind": "knn"}}
    neighbors = {"of": ["net/fc"], "bootstrap": 200, "depth": 20}
    asked = {"probe": probe, "ap": {"of": ["p"], "bootstrap": 200}, "neighbors": neighbors}
    if params:
        put_params(project, **asked | sections)
    file = put_split(project, "test", vectors[order], labels[order], classes)
    if not np.array_equal(order, np.arange(len(order))):  # by which ids the rows are known
        file = renamed(project, ids[order])
    graph = put_graph(project, [file])
    content = LogitsFile("net/fc", "test", {}, classes, ids[order], labels[order], logits[order])
    write_logits(project.probe("p"), content)
    asked = load_params(project.params).neighbors
    result = compare_models(
        {"p": logits}, labels, classes, split="test", measures=MEASURES, resamples=200, seed=0
    )
    save_record(result, project.result("ap"))
    retrieval = measure_retrieval({"net/fc": file}, {"net/fc": graph}, "test", asked)
    save_record(retrieval, project.result("retrieval"))
    return RecordedRun(folder.name, str(folder), project)


def renamed(project: Project, ids: np.ndarray) -> FeatureFile:
    path = project.features("net", "test")
    file = FeatureFile.open(path)
    head = {name: getattr(file, name) for name in ("dataset", "split", "model", "classes")}
    rows = {"digests": file.digests.copy(), "labels": file.labels.copy()}
    layers = {"fc": file.layer("fc").copy()}
    path.unlink()
    write_feature_file(path, **head, ids=ids, **rows, layers=layers, keys={"fc": file.feature_key("fc")})
    return FeatureFile.open(path)

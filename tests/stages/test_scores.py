"""The stages probe, ap and hard, run as DVC runs them, on feature files of a small invented data set."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.store.feature_file import feature_path
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLASSES = ("cat", "dog", "emu")
PARAMS = """
dataset: {name: invented, kind: folder, root: images, train: train, test: test}
models:
  net:
    architecture: resnet18
    weights: random
    layers: {fc7: flatten, logits: fc}
    preprocess: {resize: 8, crop: 8}
    train: null
extract: {}
index: {of: [net/fc7]}
neighbors: {of: [net/fc7]}
duplicates: {of: net/fc7}
tsne: {of: [net/fc7]}
probe: {frozen: {of: net/fc7, C: [1, 10], folds: 3}}
ap: {of: [net, frozen], bootstrap: 50}
"""


def make_project(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "data/manifest").mkdir(parents=True)
    (folder / "images").mkdir()
    (folder / "data/manifest/objects.csv").write_text("id,class,difficult,truncated,xmin,ymin,xmax,ymax\n")
    for split, n in (("train", 120), ("test", 90)):
        labels = np.where(rng.random((n, 3)) < (0.4, 0.2, 0), 1, -1).astype(np.int8)
        labels[rng.random((n, 3)) < 0.03] = 0
        features = rng.normal(size=(n, 16)).astype(np.float32)
        features[:, :3] += labels
        ids = np.array([f"{split}{row:03}" for row in range(n)])
        for name in ids:
            Image.new("RGB", (12, 9), tuple(rng.integers(0, 255, 3).tolist())).save(
                folder / f"images/{name}.png"
            )
        digests = np.zeros((n, 16), np.uint8)
        key = FeatureKey("resnet18", "0" * 64, "flatten", {}, "fp32", "float32", 1)
        write_feature_file(
            feature_path("net", split, folder / "data/features"),
            dataset="invented",
            split=split,
            model="net",
            classes=CLASSES,
            ids=ids,
            digests=digests,
            labels=labels,
            layers={"fc7": features, "logits": rng.normal(size=(n, 3)).astype(np.float32)},
            keys={"fc7": key, "logits": key},
        )
        paths, sizes = np.char.add(ids, ".png"), np.tile([12, 9], (n, 1)).astype(np.int32)
        manifest = Manifest("invented", split, CLASSES, ids, paths, digests, sizes, labels)
        write_manifest(manifest, folder / f"data/manifest/{split}.csv")


def run_stage(folder: Path, *command: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", f"pool5.stages.{command[0]}", *command[1:]]
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def digests(folder: Path) -> dict[str, str]:
    files = [
        path for top in ("data/probes", "reports") for path in (folder / top).rglob("*") if path.is_file()
    ]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    for command in (("probe", "frozen"), ("ap",), ("hard",)):
        done = run_stage(folder, *command)
        assert done.returncode == 0, done.stderr
        if command[0] == "probe":
            assert "probe frozen: emu is on none or on all of the images of train" in done.stderr
    return folder


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("probe",), "usage: python -m pool5.stages.probe NAME"),
        (("ap", "more"), "usage: python -m pool5.stages.ap;"),
        (("probe", "nosuch"), "no probe 'nosuch' in params.yaml; it has frozen"),
        (("model", "nosuch"), "no model 'nosuch' in params.yaml"),
        (("extract", "nosuch"), "no model 'nosuch' in params.yaml"),
        (("index", "net"), "'net' names no layer; write <model>/<layer>"),
    ],
)
def test_a_stage_called_wrongly_is_one_line(project, command, told):
    done = run_stage(project, *command)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert told in done.stderr


def test_the_outs_that_dvc_expects_are_there(project):
    found = set(digests(project))
    expected = {
        "data/probes/frozen.h5",
        "data/probes/frozen.safetensors",
        "reports/metrics/probe/frozen.json",
    }
    expected |= {f"reports/ap/{name}" for name in ("ap.csv", "ap.md", "ap.tex", "differences.csv")}
    expected |= {f"reports/ap/{name}.{kind}" for name in ("ap", "differences") for kind in ("png", "svg")}
    expected |= {"reports/ap/pr/net.csv", "reports/ap/pr/frozen.csv", "reports/metrics/ap.json"}
    expected |= {"reports/hard/hard.json"}
    assert expected <= found
    for record in json.loads((project / "reports/hard/hard.json").read_text()):
        assert {f"reports/hard/{sheet}" for sheet in record["sheets"]} <= found


def test_the_probe_reads_what_the_logits_of_chance_do_not_know(project):
    with (project / "reports/ap/ap.csv").open(newline="") as file:
        rows = {(r["class"], r["model"], r["protocol"]): r for r in csv.DictReader(file)}
    assert float(rows["mAP", "frozen", "area"]["ap"]) > 0.6
    assert float(rows["mAP", "net", "area"]["ap"]) < 0.5
    assert rows["emu", "net", "area"]["ap"] == ""


def test_a_second_run_writes_the_same_bytes(project):
    before = digests(project)
    for command in (("probe", "frozen"), ("ap",), ("hard",)):
        run_stage(project, *command)
    assert digests(project) == before


def test_a_layer_of_nan_stops_the_probe_in_one_line_and_leaves_nothing(tmp_path):
    make_project(tmp_path)
    path = feature_path("net", "train", tmp_path / "data/features")
    key = FeatureKey("resnet18", "0" * 64, "flatten", {}, "fp32", "float32", 1)
    labels = np.where(np.arange(30)[:, None] % 2, 1, -1) * np.ones((1, 3), np.int8)
    write_feature_file(
        path,
        dataset="invented",
        split="train",
        model="net",
        classes=CLASSES,
        ids=np.array([f"t{row}" for row in range(30)]),
        digests=np.zeros((30, 16), np.uint8),
        labels=labels.astype(np.int8),
        layers={"fc7": np.full((30, 16), np.nan, np.float32)},
        keys={"fc7": key},
    )
    done = run_stage(tmp_path, "probe", "frozen")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "net/fc7 on train: 30 of 30 images have features that are not finite, first t0" in done.stderr
    assert digests(tmp_path) == {}


def test_ap_before_the_probe_says_which_stage_to_run(tmp_path):
    make_project(tmp_path)
    done = run_stage(tmp_path, "ap")
    assert done.returncode == 2
    assert "data/probes/frozen.h5: no such file; run `dvc repro probe@frozen` first" in done.stderr

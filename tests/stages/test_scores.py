"""The stages probe, ap and hard on feature files of a small invented data set."""

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
from pool5.errors import UserError
from pool5.probe import linear_probe
from pool5.project import Project
from pool5.results.ap import ApResult
from pool5.results.hard import HardResult
from pool5.results.probe import ProbeResult
from pool5.results.record import load_record
from pool5.stages import ap, hard, probe
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from pool5.store.logits_file import read_logits

ROOT = Path(__file__).parents[2]
CLASSES = ("cat", "dog", "emu")
KEY = FeatureKey("resnet18", "0" * 64, "flatten", {}, "fp32", "float32", 1)
PARAMS = {
    "dataset": {"name": "invented", "kind": "folder", "root": "images", "train": "train", "test": "test"},
    "models": {
        "net": {
            "architecture": "resnet18",
            "weights": "random",
            "layers": {"fc7": "flatten", "logits": "fc"},
            "preprocess": {"resize": 8, "crop": 8},
        }
    },
    "probe": {"frozen": {"of": "net/fc7", "C": [1, 10], "folds": 3}},
    "ap": {"of": ["net", "frozen"], "bootstrap": 50},
}


def put_split(
    project: Project, split: str, labels: np.ndarray, classes=CLASSES, **layers: np.ndarray
) -> None:
    """Features that show the labels, logits that do not, a manifest and pictures."""
    rng = np.random.default_rng(len(split))
    n, labels = len(labels), labels.astype(np.int8)
    features = rng.normal(size=(n, 16)).astype(np.float32)
    features[:, : len(classes)] += labels
    ids, digests = np.array([f"{split}{row:03}" for row in range(n)]), np.zeros((n, 16), np.uint8)
    logits = rng.normal(size=(n, max(len(classes), 1))).astype(np.float32)
    layers = {"fc7": features, "logits": logits, **layers}
    write_feature_file(
        project.features("net", split),
        **{"dataset": "invented", "split": split, "model": "net", "classes": classes, "ids": ids},
        **{"digests": digests, "labels": labels, "layers": layers, "keys": dict.fromkeys(layers, KEY)},
    )
    paths, sizes = np.array([f"{split}.png"] * n), np.tile([12, 9], (n, 1)).astype(np.int32)
    write_manifest(Manifest(split, classes, ids, paths, digests, sizes, labels), project.manifest(split))
    Path(project.images("images")).mkdir(exist_ok=True)
    Image.new("RGB", (12, 9), "teal").save(Path(project.images("images")) / f"{split}.png")


def put_project(folder: Path, shares=(0.4, 0.2, 0), sizes=(120, 90), classes=CLASSES, **sections) -> Project:
    project, rng = Project(folder), np.random.default_rng(0)
    project.params.write_text(json.dumps(PARAMS | sections))
    project.recipes.symlink_to(ROOT / "recipes.yaml")
    for split, n in zip(("train", "test"), sizes, strict=True):
        labels = np.where(rng.random((n, len(classes))) < shares, 1, -1)
        labels[rng.random(labels.shape) < 0.03] = 0
        put_split(project, split, labels, classes)
    project.objects.write_text("id,class,difficult,truncated,xmin,ymin,xmax,ymax\n")
    return project


def run_all(project: Project) -> tuple[ProbeResult, ApResult, HardResult]:
    """Run the three; what dvc.yaml declares is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        for stage in (probe, ap, hard):
            stage.main()
    assert project.probes.is_dir()
    assert project.report("ap", "pr").is_dir()
    assert project.report("hard").is_dir()
    assert {path.name for path in project.report("metrics").iterdir()} == {"probe.json", "ap.json"}
    assert {"ap.csv", "ap.md", "ap.tex", "differences.csv"} <= names(project.report("ap"))
    kinds = {"probe": ProbeResult, "ap": ApResult, "hard": HardResult}
    return tuple(load_record(kind, project.result(name)) for name, kind in kinds.items())


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def digests(project: Project) -> dict[str, str]:
    folders = (project.probes, project.results, project.reports)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = put_project(tmp_path_factory.mktemp("project"))
    run_all(project)
    return project


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("probe", "frozen"), "usage: python -m pool5.stages.probe;"),
        (("ap", "more"), "usage: python -m pool5.stages.ap;"),
        (("model", "nosuch"), "no model 'nosuch' in params.yaml"),
        (("extract", "nosuch"), "no model 'nosuch' in params.yaml"),
    ],
)
def test_a_stage_called_wrongly_is_one_line(project, command, told):
    done = subprocess.run(
        [sys.executable, "-m", f"pool5.stages.{command[0]}", *command[1:]],
        **{"cwd": project.root, "env": {**os.environ, "PYTHONPATH": str(ROOT)}},
        **{"capture_output": True, "text": True, "check": False, "timeout": 300},
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert told in done.stderr


def test_the_files_of_a_whole_run_are_there(project):
    assert names(project.probes) == {"frozen.h5", "frozen.safetensors"}
    drawn = {f"{name}.{kind}" for name in ("ap", "differences") for kind in ("png", "svg")}
    assert drawn | {"pr/net.csv", "pr/frozen.csv"} <= names(project.report("ap"))
    sheets = {item.sheet for item in load_record(HardResult, project.result("hard")).classes}
    assert sheets
    assert sheets <= names(project.report("hard"))


def test_what_the_data_set_lacks_is_said_in_the_records(project):
    kinds = {"probe": ProbeResult, "ap": ApResult, "hard": HardResult}
    probed, scored, hardest = (load_record(kind, project.result(name)) for name, kind in kinds.items())
    assert probed.gaps == (
        "probe frozen: emu on none or on all of the images of train; the logits of that class say nothing",
    )
    assert scored.gaps == ("no image of test shows emu: there is no AP, and no part in the mean",)
    assert hardest.gaps == ("no object is annotated: nothing is said about their sizes and numbers",)


def test_the_probe_reads_what_the_logits_of_chance_do_not_know(project):
    with project.report("ap", "ap.csv").open(newline="") as file:
        rows = {(r["class"], r["model"], r["protocol"]): r for r in csv.DictReader(file)}
    assert float(rows["mAP", "frozen", "area"]["ap"]) > 0.6
    assert float(rows["mAP", "net", "area"]["ap"]) < 0.5
    assert rows["emu", "net", "area"]["ap"] == ""


def test_a_second_run_writes_the_same_bytes_and_trains_no_probe(project, monkeypatch):
    before = digests(project)
    monkeypatch.setattr(linear_probe, "train_probe", None)
    run_all(project)
    assert digests(project) == before


def test_hard_takes_ap_from_the_record(project):
    scored = load_record(ApResult, project.result("ap"))
    for item in load_record(HardResult, project.result("hard")).classes:
        row = scored.row(item.class_name, item.model, scored.measures[0])
        assert (item.ap, item.lo, item.hi, item.chance) == (row.ap, row.lo, row.hi, row.chance)


def test_a_layer_of_nan_stops_the_probe_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    project = put_project(tmp_path)
    labels = np.where(np.arange(30)[:, None] % 2, 1, -1) * np.ones((1, 3))
    put_split(project, "train", labels, fc7=np.full((30, 16), np.nan, np.float32))
    monkeypatch.chdir(tmp_path)
    told = "net/fc7 on train: 30 of 30 images have features that are not finite, first train000"
    with pytest.raises(UserError, match=told):
        probe.main()
    assert digests(project) == {}


def test_ap_before_the_probe_says_which_stage_to_run(tmp_path, monkeypatch):
    put_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data/probes/frozen\.h5: no such logits file") as caught:
        ap.main()
    assert caught.value.rerun == "probe"


@pytest.mark.parametrize(
    ("case", "gap"),
    [
        ({"classes": (), "shares": ()}, "the data set has no classes"),
        ({"probe": {}, "ap": {}}, "ap.of names no model and no probe"),
        ({"shares": (0, 0, 0)}, "no image of test shows cat, dog, emu"),
    ],
)
def test_without_labels_or_models_the_stages_end_and_say_why(tmp_path, case, gap):
    project = put_project(tmp_path, **case)
    probed, scored, hardest = run_all(project)
    assert probed.gaps
    assert any(gap in each for each in scored.gaps)
    assert any(gap in each for each in hardest.gaps)
    assert not scored.has_values
    assert hardest.classes == ()
    if "probe" not in case:
        logits = read_logits(project.probe("frozen")).logits
        assert (logits == logits[:1]).all()


@pytest.mark.parametrize(
    "case", [{"classes": ("cat",), "shares": (0.5,)}, {"sizes": (120, 1), "shares": (0.9, 0.9, 0)}]
)
def test_one_class_and_one_image_are_enough(tmp_path, case):
    _, scored, hardest = run_all(put_project(tmp_path, **case))
    assert scored.has_values
    assert hardest.classes


SHOTS = {
    "linear": {"of": "net/fc7", "C": [1, 10], "folds": 3, "shots": [1, 4]},
    "near": {"of": "net/fc7", "kind": "knn", "k": 5, "shots": [1, 4], "repeats": 3},
}


@pytest.fixture(scope="module")
def shots_project(tmp_path_factory):
    project = put_project(
        tmp_path_factory.mktemp("shots"), probe=SHOTS, ap={"of": ["linear", "near"], "bootstrap": 50}
    )
    run_all(project)
    return project


def test_a_knn_probe_has_rows_beside_a_linear_one(shots_project):
    scored = load_record(ApResult, shots_project.result("ap"))
    assert scored.models == ("linear", "near")
    assert scored.row(None, "near", "AP(area)").ap > 0.6
    assert scored.pairs("AP(area)")["near", "linear"]
    logits = read_logits(shots_project.probe("near")).logits
    assert 0 <= logits.min() < logits.max() <= 1
    hardest = load_record(HardResult, shots_project.result("hard")).classes
    assert {item.model for item in hardest} <= {"linear", "near"}


def test_few_examples_have_a_table_a_figure_and_metrics(shots_project):
    assert names(shots_project.report("probe")) == {f"few_shot.{kind}" for kind in ("csv", "png", "svg")}
    with shots_project.report("probe", "few_shot.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    places = [(row["probe"], row["class"], row["protocol"], row["shots"]) for row in rows]
    assert len(places) == len(set(places)) == 2 * 4 * 2 * 3  # probes, classes and mean, protocols, numbers
    assert {(row["probe"], row["shots"], row["draws"]) for row in rows if row["is_mean"] == "1"} == {
        *(("linear", n, "5") for n in ("1", "4")),
        *(("near", n, "3") for n in ("1", "4")),
        *((probe, "all", "1") for probe in SHOTS),
    }
    metrics = json.loads(shots_project.metrics("probe").read_text())
    assert list(metrics["near"]["few_shot"]["AP(area)"]) == ["1", "4", "all"]


def test_the_end_of_the_curve_is_the_ap_of_the_probe(shots_project):
    scored = load_record(ApResult, shots_project.result("ap"))
    for few in load_record(ProbeResult, shots_project.result("probe")).few_shot:
        for measure in few.measures:
            for name, rows in few.by_class(measure).items():
                found = scored.row(name, few.probe, measure).ap
                assert rows[-1].ap == (None if found is None else pytest.approx(found, abs=1e-12))


def test_what_cannot_be_drawn_is_told_once(shots_project):
    gaps = load_record(ProbeResult, shots_project.result("probe")).gaps
    assert gaps.count("few examples: no image of train shows emu: there is nothing to draw") == 1


def test_a_further_number_of_examples_trains_no_probe_and_changes_no_other(tmp_path, monkeypatch):
    project = put_project(tmp_path, probe=SHOTS, ap={})
    monkeypatch.chdir(tmp_path)
    probe.main()
    before = load_record(ProbeResult, project.result("probe"))
    more = {name: given | {"shots": [1, 2, 4]} for name, given in SHOTS.items()}
    project.params.write_text(json.dumps(PARAMS | {"probe": more, "ap": {}}))
    monkeypatch.setattr(linear_probe, "train_probe", None)
    probe.main()
    after = load_record(ProbeResult, project.result("probe"))
    assert after.probes == before.probes
    for old, new in zip(before.few_shot, after.few_shot, strict=True):
        assert set(old.rows) < set(new.rows)


def test_a_kind_that_params_sets_back_is_taken_as_it_was(tmp_path, monkeypatch):
    project = put_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    probe.main()
    before = digests(project)
    for kind in ("knn", "linear"):
        given = {"of": "net/fc7", "C": [1, 10], "folds": 3, "kind": kind}
        project.params.write_text(json.dumps(PARAMS | {"probe": {"frozen": given}}))
        probe.main()
        assert load_record(ProbeResult, project.result("probe")).probes[0].kind == kind
    assert digests(project) == before

"""The VOC 2012 preset on 1200 real photographs, with ImageNet weights read from torch's own cache."""

from __future__ import annotations

import csv
import json
import statistics

import pytest
import yaml
from project import ROOT, Project

pytestmark = [pytest.mark.slow, pytest.mark.long]

SIX = ["dog", "cat", "horse", "sheep", "person", "cow"]  # more than 50 positives in the test split
TWELVE = [*SIX, "sofa", "pottedplant", "bottle", "chair", "tvmonitor", "car"]
NO_POSITIVES = ["aeroplane", "bicycle", "train"]


@pytest.fixture(scope="module")
def project(tmp_path_factory, shared) -> Project:
    params = yaml.safe_load((ROOT / "presets/voc2012.yaml").read_text())
    params["dataset"]["root"] = str(shared / "data/voc2012-animals")
    # what this test is about is the pretrained network; the others are only shown to train
    params["models"]["caffenet"]["train"]["epochs"] = 1
    params["models"]["mobilenet_v2-finetuned"]["train"] |= {"epochs": 2, "head_epochs": 1}
    project = Project.copy_to(tmp_path_factory.mktemp("real"), params)
    done = project.repro(TORCH_HOME=str(shared / "weights/torch-home"))
    assert done.code == 0, done.err
    return project


@pytest.fixture(scope="module")
def ap(project) -> dict[str, dict[str, str]]:
    with (project.folder / "reports/ap/ap.csv").open() as file:
        return {
            row["class"]: row
            for row in csv.DictReader(file)
            if (row["model"], row["protocol"]) == ("mobilenet_v2-probe", "sklearn")
        }


def test_the_probe_on_pretrained_features_reaches_the_reference(ap):
    assert statistics.mean(float(ap[name]["ap"]) for name in SIX) >= 0.86
    assert statistics.mean(float(ap[name]["ap"]) for name in TWELVE) >= 0.52


def test_a_class_without_positives_has_no_average_precision(ap):
    assert [ap[name]["ap"] for name in NO_POSITIVES] == ["", "", ""]
    assert ap["mAP"]["ap"]


def test_four_of_five_neighbors_share_a_label(project):
    with (project.folder / "reports/neighbors/retrieval.csv").open() as file:
        rows = {(row["representation"], row["group"], row["measure"]): row for row in csv.DictReader(file)}
    assert float(rows["mobilenet_v2/pooled", "all", "P@4"]["value"]) >= 0.81


def test_the_page_is_one_file_within_its_budget(project):
    assert (project.folder / "reports/index.html").stat().st_size < 15e6


def test_an_image_file_finds_itself_among_the_stored_features(project, shared):
    photo = min((shared / "data/voc2012-animals/VOCdevkit/VOC2012/JPEGImages").glob("*.jpg"))
    ids = (project.folder / "data/manifest/test.csv").read_text()
    split = "test" if photo.stem in ids else "trainval"
    layer = ["--model", "mobilenet_v2", "--layer", "pooled", "--split", split]
    done = project.run("pool5", "query", "--image", str(photo), *layer, "-k", "1", "--json")
    assert done.code == 0, done.err
    (nearest,) = json.loads(done.out)
    assert nearest["id"] == photo.stem
    assert nearest["distance"] == pytest.approx(0, abs=1e-6)

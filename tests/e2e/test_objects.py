"""Rows of objects: the same from VOC's annotations and from COCO's, through every stage and every command."""

from __future__ import annotations

import csv
import html
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import Photos, as_coco
from test_gaps import ALL, gaps_of, params, run_all
from tiny import SHORT, write_project

from pool5.datasets.manifest import read_manifest
from pool5.images.address import Address
from pool5.images.image_file import read_image
from pool5.params import Sample
from pool5.sample.devkit import draw_devkit
from pool5.store.feature_file import FeatureFile

pytestmark = [pytest.mark.slow, pytest.mark.long]

SPLITS = ("trainval", "test")


class Run:
    """A project that has run."""

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        self.folder, self.root = folder, Path(asked["dataset"]["root"])
        write_project(folder, asked)
        run_all(folder)

    def features(self, split: str, model: str = "net") -> FeatureFile:
        return FeatureFile.open(self.folder / f"data/features/{model}/{split}.h5")

    def record(self, name: str) -> Any:
        return json.loads((self.folder / f"data/results/{name}.json").read_text())["record"]

    def rows(self, path: str) -> list[dict[str, str]]:
        with (self.folder / path).open(newline="") as file:
            return list(csv.DictReader(file))

    def pool5(self, *words: str) -> str:
        program = [sys.executable, "-m", "pool5", *words]
        done = subprocess.run(program, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def small(kind: str, root: Path, **settings: Any) -> dict[str, Any]:
    """Parameters with everything asked for."""
    asked = params(kind, **ALL)
    asked["dataset"] |= {"root": str(root), "train": "trainval", "objects": True, "margin": 0.2, **settings}
    asked["models"]["trained"] = asked["models"]["net"] | {"train": SHORT}
    asked["ap"]["of"] = ["linear", "trained"]
    return asked


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("voc")
    draw_devkit(folder / "kit", Sample(train=18, val=6, test=24, source=4))
    return Run(folder / "project", small("voc", folder / "kit"))


@pytest.fixture(scope="module")
def coco(voc, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("coco")
    return Run(folder / "project", small(root=folder / "own", **as_coco(Photos(voc.root), folder / "own")))


def test_every_annotated_box_is_a_row(voc):
    boxes = voc.rows("data/manifest/objects.csv")
    ids = [name for split in SPLITS for name in voc.features(split).ids.tolist()]
    assert len(ids) == len(boxes) > 50
    assert {name.rpartition("#")[0] for name in ids} == {box["id"] for box in boxes}
    assert (
        "a row is an annotated object, and so is what results call an image: "
        in voc.record("dataset")["gaps"][0]
    )


def test_a_row_has_the_label_of_its_box_alone(voc):
    boxes: dict[str, list[dict[str, str]]] = {}
    for box in voc.rows("data/manifest/objects.csv"):
        boxes.setdefault(box["id"], []).append(box)
    file = voc.features("test")
    for name, labels in zip(file.ids.tolist(), np.asarray(file.labels), strict=True):
        image, _, number = name.rpartition("#")
        box = boxes[image][int(number) - 1]
        expected = np.full(len(file.classes), -1)
        expected[file.classes.index(box["class"])] = 1 - int(box["difficult"])
        assert labels.tolist() == expected.tolist()


def test_voc_and_coco_give_the_same_rows_and_the_same_feature_bytes(voc, coco):
    for split in SPLITS:
        for model in ("net", "trained"):
            one, other = voc.features(split, model), coco.features(split, model)
            assert one.ids.tolist() == other.ids.tolist()
            np.testing.assert_array_equal(one.digests, other.digests)
            np.testing.assert_array_equal(np.asarray(one.labels), np.asarray(other.labels))
            for layer in one.layers:
                assert one.layer(layer).tobytes() == other.layer(layer).tobytes()


def test_average_precision_is_of_objects_and_difficult_ones_are_left_out(voc, coco):
    rows = voc.record("ap")["rows"]
    assert rows == coco.record("ap")["rows"]
    labels = np.asarray(voc.features("test").labels)
    one = next(row for row in rows if row["positives"] and row["class_name"])
    assert one["positives"] == (labels[:, voc.features("test").classes.index(one["class_name"])] == 1).sum()


def test_a_row_is_the_part_of_the_picture_around_its_box(voc):
    manifest = read_manifest(voc.folder / "data/manifest/test.csv")
    for path, size in list(zip(manifest.paths.tolist(), manifest.sizes.tolist(), strict=True))[:20]:
        assert read_image(Address.parse(path, voc.root)).shape == (size[1], size[0], 3)


def test_the_page_and_the_figures_are_made(voc):
    page = html.unescape((voc.folder / "reports/index.html").read_text())
    name = voc.features("test").ids[0]
    assert name in page
    assert any(
        "a row is an object itself: nothing is said about their sizes" in gap for gap in gaps_of(voc.folder)
    )
    for figure in ("reports/neighbors/sheet.png", "reports/duplicates/duplicates.png"):
        assert list(voc.folder.glob(f"{Path(figure).parent}/*.png"))


def test_objects_are_asked_for_by_their_id(voc):
    name = voc.features("test").ids[0]
    layer = ["--model", "net", "--layer", "fc7"]
    near = json.loads(voc.pool5("query", name, *layer, "--json", "--sheet", "near.png"))
    assert [found["rank"] for found in near] == [1, 2, 3, 4]
    assert all("#" in found["id"] and found["id"] != name for found in near)
    assert (voc.folder / "near.png").stat().st_size > 1000
    assert voc.pool5("place", name, *layer)
    assert "every row is in the cache" in voc.pool5("why", "net", "test")
    voc.pool5("verify")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, shared) -> dict[bool, Run]:
    """Rows of objects, and rows of images, under the same probe."""
    folder = tmp_path_factory.mktemp("photographs")
    runs = {}
    for objects in (True, False):
        asked = params("voc", neighbors={"of": ["net/pooled"]}, probe={"linear": {"of": "net/pooled"}})
        asked["dataset"] |= {
            "root": str(shared / "data/voc2012-animals"),
            "train": "trainval",
            "objects": objects,
        }
        network = {"architecture": "mobilenet_v2", "weights": "imagenet", "layers": {"pooled": "flatten"}}
        asked["models"] = {"net": network | {"preprocess": {"resize": 256, "crop": 224}}}
        asked |= {"ap": {"of": ["linear"], "protocols": ["area"], "bootstrap": 20}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TORCH_HOME", str(shared / "weights/torch-home"))
            runs[objects] = Run(folder / str(objects), asked)
    return runs


def test_objects_of_photographs_are_told_apart_by_a_pretrained_network(photographs):
    mean = {}
    for objects, run in photographs.items():
        rows = {row["class"]: row for row in run.rows("reports/ap/ap.csv")}
        mean[objects] = float(rows["mAP"]["ap"])
    boxes = photographs[True].rows("data/manifest/objects.csv")
    assert sum(len(photographs[True].features(split).ids) for split in SPLITS) == len(boxes)
    assert min(mean.values()) > 0.3, mean

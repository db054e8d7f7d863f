"""1200 photographs in six forms: the same rows, the same bytes, the same average precision, computed once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import Photos, as_coco, as_csv, as_parquet, as_shards, in_bucket
from project import Project

from pool5.cli.upkeep import graph_for
from pool5.params import load_params

pytestmark = [pytest.mark.slow, pytest.mark.long]

FORMS = {"csv": as_csv, "coco": as_coco, "shards": as_shards, "parquet": as_parquet}


@pytest.fixture(scope="module")
def photos(shared) -> Photos:
    return Photos(shared / "data/voc2012-animals")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, photos, shared) -> dict[str, Project]:
    """A project a form, all with one row cache; that of VOC's layout computes the rows."""
    folder = tmp_path_factory.mktemp("forms")
    made = {"voc": _run(folder / "voc", shared, photos, {"kind": "voc", "root": str(photos.root)})}
    for name, write in FORMS.items():
        settings = write(photos, folder / f"photos-{name}")
        made[name] = _run(folder / name, shared, photos, {"root": str(folder / f"photos-{name}"), **settings})
    return made


def _run(folder: Path, shared: Path, photos: Photos, dataset: dict[str, Any]) -> Project:
    layer = "mobilenet_v2/pooled"
    params = {
        "dataset": {"name": "photographs", "train": photos.train, "test": photos.test, **dataset},
        "models": {
            "mobilenet_v2": {
                "architecture": "mobilenet_v2",
                "weights": "imagenet",
                "layers": {"pooled": "flatten"},
            }
        },
        "extract": {"cache": str(folder.parent / "rows")},
        "neighbors": {"of": [layer]},
        "probe": {"linear": {"of": layer, "C": [10.0]}},
        "ap": {"of": ["linear"], "protocols": ["voc2007", "area", "sklearn"], "bootstrap": 100},
    }
    project = Project.copy_to(folder, params)
    (folder / "dvc.yaml").write_text(graph_for(load_params(folder / "params.yaml").dataset))
    told = project.repro("ap", "retrieval", TORCH_HOME=str(shared / "weights/torch-home"))
    assert told.code == 0, told.err
    (folder / "log").write_text(told.err)
    return project


def _ap(project: Project) -> dict[tuple[str, str], float | None]:
    record = json.loads((project.folder / "data/results/ap.json").read_text())["record"]
    return {(row["class_name"], row["protocol"]): row["ap"] for row in record["rows"]}


def _same(one: Project, other: Project) -> None:
    from pool5.store.feature_file import FeatureFile

    for split in ("trainval", "test"):
        files = [FeatureFile.open(p.folder / f"data/features/mobilenet_v2/{split}.h5") for p in (one, other)]
        order = [np.argsort(file.ids) for file in files]
        for part in ("ids", "digests", "labels"):
            a, b = (np.asarray(getattr(file, part))[rows] for file, rows in zip(files, order, strict=True))
            np.testing.assert_array_equal(a, b)
        a, b = (file.layer("pooled")[rows].tobytes() for file, rows in zip(files, order, strict=True))
        assert a == b
        assert files[0].classes == files[1].classes
    expected, found = _ap(one), _ap(other)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert (value is None) == (found[key] is None)
        assert value is None or abs(value - found[key]) < 1e-12, key


@pytest.mark.parametrize("form", FORMS)
def test_another_form_of_the_same_photographs_gives_the_same_bytes_and_computes_no_row(runs, form):
    assert re.search(r"mobilenet_v2: 1200 images, 0 computed", (runs[form].folder / "log").read_text())
    _same(runs["voc"], runs[form])


def test_a_bucket_gives_the_same_bytes_and_computes_no_row(runs, photos, shared, bucket):
    in_bucket(photos, bucket.put)
    folder = runs["voc"].folder.parent / "bucket"
    project = _run(folder, shared, photos, {"kind": "table", "root": str(bucket)})
    assert re.search(r"mobilenet_v2: 1200 images, 0 computed", (folder / "log").read_text())
    _same(runs["voc"], project)


def test_without_labels_the_photographs_have_neighbors_and_a_page_says_the_rest(runs, photos, shared):
    folder = runs["voc"].folder.parent / "unlabelled"
    photos.link(folder.parent / "photos-unlabelled")
    root = str(folder.parent / "photos-unlabelled")
    project = _run(folder, shared, photos, {"kind": "images", "root": root, "train": "train", "test": "test"})
    assert re.search(r"mobilenet_v2: 1200 images, 0 computed", (folder / "log").read_text())
    gaps = json.loads((project.folder / "data/results/ap.json").read_text())["record"]["gaps"]
    assert gaps

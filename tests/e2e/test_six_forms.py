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
def voc(tmp_path_factory, photos, shared) -> Project:
    """The run on VOC's layout, which computes the rows; those of other forms lie beside it."""
    folder = tmp_path_factory.mktemp("forms") / "voc"
    return _run(folder, shared, photos, {"kind": "voc", "root": str(photos.root)})


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
        "probe": {"linear": {"of": layer, "C": [10.0], "folds": 2}},
        "ap": {"of": ["linear"], "protocols": ["voc2007", "area", "sklearn"], "bootstrap": 100},
    }
    project = Project.copy_to(folder, params)
    (folder / "dvc.yaml").write_text(graph_for(load_params(folder / "params.yaml").dataset))
    told = project.repro("ap", TORCH_HOME=str(shared / "weights/torch-home"))
    assert told.code == 0, told.err
    (folder / "log").write_text(told.err)
    return project


def _ap(project: Project) -> dict[tuple[str, str], float | None]:
    record = json.loads((project.folder / "data/results/ap.json").read_text())["record"]
    return {(row["class_name"], row["measure"]): row["ap"] for row in record["rows"]}


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
def test_another_form_of_the_same_photographs_gives_the_same_bytes_and_computes_no_row(
    voc, photos, shared, form
):
    root = voc.folder.parent / f"photos-{form}"
    settings = FORMS[form](photos, root)
    project = _run(voc.folder.parent / form, shared, photos, {"root": str(root), **settings})
    assert _computed(project) == 0
    _same(voc, project)


def test_a_bucket_gives_the_same_bytes_and_computes_no_row(voc, photos, shared, bucket):
    in_bucket(photos, bucket.put)
    settings = {"kind": "table", "root": str(bucket)}
    project = _run(voc.folder.parent / "bucket", shared, photos, settings)
    assert _computed(project) == 0
    _same(voc, project)


def test_without_labels_the_photographs_are_the_same_rows_and_a_gap_says_what_is_missing(voc, photos, shared):
    root = voc.folder.parent / "photos-unlabelled"
    photos.link(root)
    settings = {"kind": "images", "root": str(root), "train": "train", "test": "test"}
    project = _run(voc.folder.parent / "unlabelled", shared, photos, settings)
    assert _computed(project) == 0
    record = json.loads((project.folder / "data/results/ap.json").read_text())["record"]
    assert record["gaps"]
    assert not record["rows"]


def _computed(project: Project) -> int:
    found = re.search(r"mobilenet_v2: 1200 images, (\d+) computed", (project.folder / "log").read_text())
    assert found
    return int(found[1])

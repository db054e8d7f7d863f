"""An image that is to be forgotten: after the next run no file that is kept has a byte of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet
import pytest
from project import Project
from test_images_changed import picture
from tiny import NETWORK, SMALL

from pool5.project import Project as Places
from pool5.store.feature_file import FeatureFile

pytestmark = pytest.mark.long

FIRST, SECOND = "cat/the-odd-one-71c3.png", "dog/another-8d20.png"
SEARCHED = ("data", ".cache", "reports")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("pets")
    for number, split in enumerate(("train", "test")):
        for kind, name in enumerate(("cat", "dog")):
            for image in range(9):
                picture(folder / f"store/{split}/{name}/{image}.png", 100 * number + 10 * kind + image)
    picture(folder / "store/test" / FIRST, 1000)
    picture(folder / "store/train" / SECOND, 1001)
    layer = "net/fc7"
    dataset = {"kind": "folder", "root": str(folder / "store"), "train": "train", "test": "test"}
    params = {
        "dataset": dataset | {"name": "pets"},
        "models": {"net": NETWORK | {"weights": "random", "preprocess": SMALL}},
        "extract": {"device": "cpu", "batch_size": 8, "workers": 0},
        "index": {"of": [layer], "queries": 5},
        "neighbors": {"of": [layer], "queries": 2, "depth": 5, "bootstrap": 20},
        "duplicates": {"of": layer},
        "tsne": {"of": [layer], "sample": 19, "perplexity": 4, "stability_seeds": 1},
        "probe": {"near": {"of": layer, "kind": "knn", "k": 3}},
        "ap": {"of": ["near"], "bootstrap": 20},
    }
    project = Project.copy_to(folder / "project", params)
    repro(project)
    return project


def repro(project: Project) -> tuple[set[str], int]:
    """The stages that were run, and the rows that were computed."""
    done = project.repro()
    assert done.code == 0, done.err
    return set(done.stages), sum(map(int, re.findall(r"(\d+) computed", done.out + done.err)))


def traces(project: Project, split: str, name: str) -> dict[str, bytes]:
    """What tells of an image: its id, its digest, and its row of each layer."""
    file = FeatureFile.open(Places(project.folder).features("net", split))
    (row,) = file.rows([name])
    rows = {layer: np.asarray(file.layer(layer)[row]) for layer in ("fc7", "logits")}
    digest = file.digests[row].tobytes()
    found = {layer: values.tobytes() for layer, values in rows.items()}
    if split == "test":  # of length one, and so other bytes
        index = faiss.read_index(str(Places(project.folder).index("net/fc7")))
        found["index"] = index.reconstruct(int(row)).tobytes()
    names = {"id": name.encode(), "digest": digest, "hex": digest.hex().encode()}
    return found | names | thumbnail(project, name)


def thumbnail(project: Project, name: str) -> dict[str, bytes]:
    table = pyarrow.parquet.read_table(project.folder / "reports/map.parquet").to_pylist()
    found = [row for row in table if name in row.values()]
    return {"thumbnail": found[0]["image"]["bytes"]} if found else {}


def places(project: Project, wanted: Mapping[str, bytes]) -> dict[str, list[str]]:
    """{trace: the files with it}, where there are any."""
    found: dict[str, list[str]] = {}
    for path in (path for name in SEARCHED for path in (project.folder / name).rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":  # compressed
            data += repr(pyarrow.parquet.read_table(path).to_pylist()).encode()
            data += b"".join(row["image"]["bytes"] for row in pyarrow.parquet.read_table(path).to_pylist())
        for trace, content in wanted.items():
            if content in data:
                found.setdefault(trace, []).append(str(path.relative_to(project.folder)))
    return found


def test_after_forget_and_the_next_run_no_file_has_a_byte_of_the_image(project):
    root = Path(project.params["dataset"]["root"])
    wanted = traces(project, "test", FIRST)
    assert places(project, wanted).keys() == wanted.keys()
    dry = project.run("pool5", "forget", FIRST, "--dry-run")
    assert dry.code == 0, dry.err
    assert "would remove 2 rows of 2 layers" in dry.out
    assert f"still in the data set, so `dvc repro` computes it again; remove {root}/test/{FIRST}" in dry.out
    assert places(project, wanted).keys() == wanted.keys()

    (root / "test" / FIRST).unlink()
    done = project.run("pool5", "forget", FIRST)
    assert done.code == 0, done.err
    assert "removed 2 rows of 2 layers" in done.out
    assert "still in the data set" not in done.out
    assert repro(project)[1] == 0
    assert places(project, wanted) == {}


def test_so_it_is_after_the_next_run_has_been_already(project):
    root = Path(project.params["dataset"]["root"])
    wanted = traces(project, "train", SECOND)
    (kept := root / "train" / SECOND).rename(away := root.parent / "away.png")
    assert not kept.exists()
    assert repro(project)[1] == 0
    left = places(project, wanted)
    assert left
    assert all(path.startswith(".cache/") for paths in left.values() for path in paths)
    told = project.run("pool5", "forget", SECOND)
    assert told.code == 2
    assert "--image FILE" in told.complaint
    done = project.run("pool5", "forget", "--image", str(away))
    assert "removed 2 rows of 2 layers" in done.out
    assert places(project, wanted) == {}
    assert project.run("pool5", "verify").code == 0
    assert repro(project) == (set(), 0)


def in_outputs(project: Project, wanted: Mapping[str, bytes]) -> set[str]:
    """The files that hold any of it, but for the caches, which know a former state until it is forgotten."""
    found = {path for paths in places(project, wanted).values() for path in paths}
    return {path for path in found if not path.startswith(".cache/")}


def test_names_and_labels_that_change_compute_nothing_and_bytes_that_change_one_image(project):
    root = Path(project.params["dataset"]["root"])
    old = {"id": b"cat/an-old-name.png"}
    picture(root / "test/cat/an-old-name.png", 2000)
    assert repro(project)[1] == 1
    assert places(project, old)
    (root / "test/cat/an-old-name.png").rename(root / "test/cat/a-new-name.png")
    assert repro(project)[1] == 0
    assert in_outputs(project, old) == set()
    # another label, which is its folder
    (root / "test/cat/a-new-name.png").rename(root / "test/dog/a-new-name.png")
    assert repro(project)[1] == 0
    assert in_outputs(project, {"id": b"cat/a-new-name.png"}) == set()
    # other bytes under the same name
    picture(root / "test/dog/a-new-name.png", 2001)
    assert repro(project)[1] == 1
    # and those of another image
    (root / "test/dog/a-new-name.png").write_bytes((root / "test/dog/3.png").read_bytes())
    assert repro(project)[1] == 0
    told = project.run("pool5", "forget", "dog/a-new-name.png")
    assert told.code == 2
    assert "the same bytes are dog/3.png (test)" in told.complaint
    both = project.run("pool5", "forget", "dog/a-new-name.png", "--all-ids")
    assert "removed 2 rows" in both.out

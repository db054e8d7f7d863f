"""The stage on a small project: every declared output, whatever is asked for."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from pool5.datasets.looks import _NAMES, _NUMBERS
from pool5.files.csv_file import write_csv
from pool5.project import Project
from pool5.results.outliers import OutliersResult
from pool5.results.record import load_record
from pool5.stages import outliers
from tests.stages.small_project import put_graph, put_params, put_split

OF = {"outliers": {"of": ["net/fc"], "k": 5}}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.chdir(tmp_path)
    project = Project()
    rng = np.random.default_rng(0)
    files = []
    for split, count in (("train", 30), ("test", 40)):
        vectors = rng.normal(size=(count, 8)) * 0.2 + 1
        vectors[3] = -vectors[3]
        labels = np.where(rng.random((count, 3)) < 0.5, 1, -1)
        files.append(put_split(project, split, vectors, labels))
    put_graph(project, files)
    put_looks(project, {"train": 30, "test": 40})
    return project


def put_looks(project: Project, counts: dict[str, int], ids: str = "{}{:04}") -> None:
    """Of photographs, but the sixth of each split is black."""
    rows = []
    for split, count in counts.items():
        for number in range(count):
            level = 0 if number == 5 else 200 + number % 7
            looks = [0.5, 0.2, 700 + 9 * number, 0.3 + number % 5 / 50, 20 + number % 9, level]
            rows.append([split, ids.format(split, number), 500, 375, "1.3333", *looks])
    write_csv(project.looks, [*_NAMES, *_NUMBERS], rows, exact=True)


def outcome(project: Project) -> OutliersResult:
    """Run the stage; the outputs that dvc.yaml declares are there."""
    outliers.main()
    rendered = {path.name for path in project.report("outliers").iterdir() if path.is_file()}
    tables = {"odd.csv", "groups.csv", "typical.csv", "looks.csv"}
    assert rendered == tables | {"looks.png", "looks.svg"}
    assert project.metrics("outliers").is_file()
    return load_record(OutliersResult, project.result("outliers"))


def rows(project: Project, name: str) -> list[dict[str, str]]:
    with project.report("outliers", f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_what_is_odd_and_what_is_typical_is_told_by_layer_and_split(project):
    put_params(project, **OF)
    result = outcome(project)
    assert [(part.layer, part.split, part.odd[0].id) for part in result.layers] == [
        ("net/fc", "train", "train0003"),
        ("net/fc", "test", "test0003"),
    ]
    (dark,) = [look for look in result.looks if look.beyond]
    assert (dark.kind, [image.id for image in dark.odd]) == ("dark", ["train0005", "test0005"])
    assert (result.pictures, result.gaps) == (70, ())
    first = rows(project, "odd")[0]
    assert (first["layer"], first["id"], first["rank"], first["of"]) == ("net/fc", "train0003", "1", "30")
    assert [row["id"] for row in rows(project, "looks")] == ["train0005", "test0005"]
    assert {row["class"] for row in rows(project, "typical")} == {"cat", "dog", "person"}
    drawn = {path.name for path in project.report("outliers", "net/fc").glob("*.png")}
    assert drawn == {"odd.png", "typical.png", "distances.png"}
    metrics = json.loads(project.metrics("outliers").read_text())
    assert metrics["looks"]["dark"] == 2
    assert metrics["net/fc"]["train"]["beyond"] == result.layers[0].beyond >= 1


def test_the_outputs_have_the_same_bytes_when_run_again(project):
    put_params(project, **OF)

    def content():
        outcome(project)
        files = [*project.report("outliers").rglob("*.*"), project.result("outliers")]
        return {path: path.read_bytes() for path in files}

    assert content() == content()


def test_without_a_layer_pictures_are_looked_at_all_the_same(project):
    put_params(project)
    result = outcome(project)
    assert (result.layers, result.gaps) == ((), ())
    assert sum(look.beyond for look in result.looks) == 2
    assert rows(project, "odd") == []


def test_a_layer_without_a_graph_is_a_gap(project):
    put_params(project, **OF)
    project.neighbors("net/fc").unlink()
    assert outcome(project).gaps == ("net/fc: its neighbors are not stored",)


def test_looks_are_those_of_the_pictures_where_rows_are_objects(project, monkeypatch):
    addresses = outliers.image_addresses

    def as_objects(manifest, root):
        import dataclasses

        return {
            f"{name}#1": dataclasses.replace(address, crop=(0, 0, 4, 4))
            for name, address in addresses(manifest, root).items()
            if not name.endswith("0005") or name.startswith("train")
        }

    monkeypatch.setattr(outliers, "image_addresses", as_objects)
    put_params(project, **OF)
    project.neighbors("net/fc").unlink()
    result = outcome(project)
    assert result.gaps[-1] == "looks are those of whole pictures, whose objects are the rows"
    assert result.pictures == 69, "one has no object on it"
    assert [row["id"] for row in rows(project, "looks")] == ["train0005"]

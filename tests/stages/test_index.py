"""The stage index: an index, a record and its renderings for every layer; gaps where too little is there."""

from __future__ import annotations

import csv
import json

import faiss
import numpy as np
import pytest
from click.testing import CliRunner

from pool5.cli import pool5
from pool5.files.digests import size_of
from pool5.results.index_quality import IndexQuality
from pool5.results.record import load_record
from pool5.search.index_card import verify_index
from pool5.stages import index
from tests.stages.layer_project import random_features, run_stage, write_project

TRAIN, TEST = random_features(30), random_features(400, seed=1)


def quality(project, layer: str = "net/fc7") -> IndexQuality:
    return load_record(IndexQuality, project.result(f"index/{layer}"))


def test_every_layer_has_an_index_a_record_and_what_is_drawn_from_it(tmp_path, monkeypatch):
    settings = {"of": ["net/fc7", "net/pool5"], "factory": "IVF4,Flat"}
    project = write_project(tmp_path, train=TRAIN, test=TEST, index=settings)
    run_stage(index.main, project, monkeypatch)
    metrics = json.loads(project.metrics("index").read_text())
    for layer in settings["of"]:
        assert faiss.read_index(str(project.index(layer))).ntotal == 400
        found = quality(project, layer)
        assert (found.factory, found.rows, len(found.points), found.gaps) == ("IVF4,Flat", 400, 3, ())
        card = json.loads(project.index(layer).with_suffix(".json").read_text())
        assert card["search"] == found.chosen.setting
        # nothing is learned from the test split unless the record says so
        assert f"trained on {card['training_rows']} rows of test itself" in found.reason
        size = project.index(layer).stat().st_size
        assert found.bytes_per_vector == size / 400
        assert metrics[layer] == {
            "bytes_per_vector": round(size / 400, 3),
            "compared_per_query": round(found.chosen.compared, 1),
            "vectors": 400,
            **{f"recall@{depth}": round(found.chosen.recall[str(depth)], 6) for depth in (1, 10, 100)},
        }
        with project.report("search", layer, "sweep.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["setting"] for row in rows] == ["nprobe=1", "nprobe=2", "nprobe=4"]
        assert [row["chosen"] for row in rows].count("True") == 1
        assert rows[-1]["recall@10"] == "1.000000"
        for suffix in ("png", "svg"):
            assert project.report("search", layer, f"pareto.{suffix}").is_file()
        assert json.loads(project.timings("search", f"{layer}.json").read_text()).keys() == {"exact", "index"}


def test_a_second_run_builds_nothing_and_a_further_layer_only_its_own(tmp_path, monkeypatch):
    built, build = [], index.index_layer
    monkeypatch.setattr(index, "index_layer", lambda *asked: built.append(asked[1]) or build(*asked))
    project = write_project(tmp_path, train=TRAIN, test=TEST, index={"of": ["net/fc7"]})
    run_stage(index.main, project, monkeypatch)
    run_stage(index.main, project, monkeypatch)
    write_project(tmp_path, train=TRAIN, test=TEST, index={"of": ["net/fc7", "net/pool5"]})
    run_stage(index.main, project, monkeypatch)
    assert built == ["fc7", "pool5"]


@pytest.mark.parametrize(
    ("rows", "gap"),
    [
        (1, "no recall@1, recall@10, recall@100: test has 1 image, of which one is the query"),
        (2, "no recall@10, recall@100: test has 2 images, of which one is the query"),
        (40, "no recall@100: test has 40 images, of which one is the query"),
    ],
)
@pytest.mark.parametrize("factory", ["auto", "Flat", "HNSW8"])
def test_what_too_few_images_cannot_show_is_a_gap(tmp_path, monkeypatch, rows, gap, factory):
    settings = {"of": ["net/fc7"], "factory": factory}
    project = write_project(tmp_path, train=TRAIN, test=TEST[:rows], index=settings)
    run_stage(index.main, project, monkeypatch)
    found = quality(project)
    assert found.gaps == (gap,)
    assert (found.chosen is None) == (rows == 1)
    assert json.loads(project.metrics("index").read_text())["net/fc7"]["vectors"] == rows
    assert project.report("search/net/fc7/sweep.csv").is_file()


@pytest.mark.parametrize("factory", ["auto", "IVF4,Flat", "HNSW8"])
def test_images_that_are_all_the_same_are_all_found(tmp_path, monkeypatch, factory):
    settings = {"of": ["net/fc7"], "factory": factory}
    same = np.repeat(TEST[:1], 300, axis=0)
    project = write_project(tmp_path, train=TRAIN, test=same, index=settings)
    run_stage(index.main, project, monkeypatch)
    assert quality(project).chosen.recall["10"] == 1


def test_where_nothing_is_asked_all_that_the_stage_declares_is_there(tmp_path, monkeypatch):
    project = write_project(tmp_path, train=TRAIN, test=TEST)
    run_stage(index.main, project, monkeypatch)
    for folder in (project.indexes, project.result_folder("index"), project.report("search")):
        assert [path.name for path in folder.iterdir()] == ["nothing.txt"]
    assert json.loads(project.metrics("index").read_text()) == {}


@pytest.mark.parametrize("factory", ["auto", "IVF4,PQ6"])
def test_lance_holds_the_index_in_a_folder_and_the_record_says_so(tmp_path, monkeypatch, factory):
    pytest.importorskip("lance", reason="pylance is not installed: there are no Lance indexes")
    settings = {"of": ["net/fc7"], "engine": "lance", "factory": factory, "queries": 20}
    project = write_project(tmp_path, train=TRAIN, test=TEST, index=settings)
    run_stage(index.main, project, monkeypatch)
    path, found = project.index("net/fc7", "lance"), quality(project)
    assert path.is_dir()
    assert not project.index("net/fc7").exists()
    assert found.factory == ("Flat in Lance" if factory == "auto" else "IVF4,PQ6 in Lance")
    assert found.chosen.recall["10"] > 0.95
    assert found.bytes_per_vector == size_of(path) / 400
    assert verify_index(path) == []
    with project.report("search/net/fc7/sweep.csv").open() as file:
        assert len(list(csv.DictReader(file))) == (1 if factory == "auto" else 12)
    assert project.report("search/net/fc7/pareto.png").is_file()
    kept = sorted(file.relative_to(path) for file in path.rglob("*"))
    run_stage(index.main, project, monkeypatch)  # from what is kept, copied anew
    assert sorted(file.relative_to(path) for file in path.rglob("*")) == kept
    asked = ["query", "test00007", "--model", "net", "--layer", "fc7", "--json"]
    exact, through = (CliRunner().invoke(pool5, [*asked, *more]) for more in ([], ["--approximate"]))
    assert json.loads(through.output) == json.loads(exact.output)
    before = path / "data"
    next(before.iterdir()).unlink()
    told = CliRunner().invoke(pool5, [*asked, "--approximate"])
    assert "damaged" in str(told.exception)

from __future__ import annotations

import shutil

import msgspec
import pytest

from pool5.errors import NotThere
from pool5.project import Project
from pool5.questions.open_store import OpenStore
from pool5.results.record import load_record, save_record
from pool5.results.tsne_map import TsneResult
from pool5.serve.maps import Maps

LAYER = "net/pooled"


@pytest.fixture
def store(page_folder, tmp_path):
    shutil.copytree(page_folder, tmp_path / "project")
    return OpenStore.open(Project(tmp_path / "project"))


@pytest.fixture
def path(store):
    return store.project.result(f"tsne/{LAYER}")


def put(path, **fields):
    """Another record in its place."""
    record = msgspec.structs.replace(load_record(TsneResult, path), **fields)
    path.unlink()  # of another inode, and time of change, in any case
    save_record(record, path)


def test_a_map_that_is_made_anew_is_given_as_it_was_until_it_is_there(store, path):
    maps = Maps(store.project)
    before = maps.map(store, LAYER)
    aside = path.rename(path.with_suffix(".away"))
    assert maps.map(store, LAYER) is before
    aside.rename(path)
    put(path, points=tuple((-x, y) for x, y in load_record(TsneResult, path).points))
    after = maps.map(store, LAYER)
    assert after.points[0, 0] == -before.points[0, 0]
    assert after.digest != before.digest


def test_a_map_of_images_that_are_not_stored_is_none(store, path):
    ids = load_record(TsneResult, path).ids
    put(path, ids=("new", *ids[1:]))
    with pytest.raises(NotThere, match="no map by tsne; there are pca"):
        Maps(store.project).map(store, LAYER)


def test_a_damaged_record_is_no_map(store, path):
    path.write_text(path.read_text().replace("0.8", "0.9", 1))
    assert [found.method for found in Maps(store.project).of_layer(store, LAYER)] == ["pca"]


def test_a_map_that_params_ask_for_no_more_is_not_told_of(store, tmp_path):
    params = store.project.params
    params.write_text(params.read_text().replace(f"tsne: {{of: [{LAYER}]}}\n", ""))
    assert [f.method for f in Maps(store.project).of_layer(OpenStore.open(store.project), LAYER)] == ["pca"]

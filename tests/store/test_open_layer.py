"""The door to a layer's rows, of a model or derived."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.params import load_params
from pool5.project import Project
from pool5.store.open_layer import features_path, open_layer
from tests.stages.small_project import put_params, put_split

DERIVED = {"unit": {"of": "net/fc", "steps": ["l2"]}, "twice": {"of": "unit/fc", "steps": ["center"]}}


@pytest.fixture
def project(tmp_path) -> Project:
    project = Project(tmp_path)
    put_params(project, derive=DERIVED)
    put_split(project, "test", np.eye(4), -np.ones((4, 3)))
    return project


def test_a_model_and_a_derived_layer_are_opened_by_one_door(project):
    params = load_params(project.params)
    file, layer = open_layer("net/fc", "test", params, project)
    assert (file.path, file.model, layer) == (project.features("net", "test"), "net", "fc")
    assert features_path("twice", "test", params, project) == project.derived("twice", "test")
    assert params.source("twice/fc") == params.source("net/fc") == "net/fc"
    assert params.derived_by("twice/fc") == ("unit", "twice")


def test_a_file_that_is_missing_or_damaged_names_the_stage_that_writes_it(project):
    params = load_params(project.params)
    for reference, stage in (("net/fc", "extract"), ("unit/fc", "derive")):
        with pytest.raises(UserError, match="no such feature file") as caught:
            open_layer(reference, "train", params, project)
        assert caught.value.rerun == stage
    damaged = project.derived("unit", "test")
    damaged.parent.mkdir(parents=True)
    content = bytearray(project.features("net", "test").read_bytes())
    damaged.write_bytes(content[:-1])
    with pytest.raises(UserError) as caught:
        open_layer("unit/fc", "test", params, project)
    assert (caught.value.rerun, caught.value.force) == ("derive", True)
    content[content.index(b"test0000")] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(UserError, match="ids of rows 0 to 3 are damaged") as caught:
        open_layer("unit/fc", "test", params, project)[0].ids  # noqa: B018
    assert caught.value.rerun == "derive"


def test_another_name_is_refused_with_those_that_there_are(project):
    params = load_params(project.params)
    with pytest.raises(UserError, match=r"no model or derived layer 'small' .* has net, unit"):
        open_layer("small/fc", "test", params, project)


@pytest.mark.parametrize(
    ("derive", "told"),
    [
        ({"net": {"of": "net/fc", "steps": ["l2"]}}, "derive.net: a model has this name already"),
        ({"p": {"of": "net/fc", "steps": ["l2"]}}, "derive.p: a probe has this name already"),
        ({"a.b": {"of": "net/fc", "steps": ["l2"]}}, "derive.a.b: not a name for a derived layer"),
        ({"../b": {"of": "net/fc", "steps": ["l2"]}}, "derive.../b: not a name for a derived layer"),
        (
            {"a": {"of": "net/fc7", "steps": ["l2"]}},
            "derive.a.of: no such layer, or one that is derived below",
        ),
        ({"a": {"of": "a/fc", "steps": ["l2"]}}, "derived below: a/fc; allowed: net/fc"),
        (
            {"a": {"of": "b/fc", "steps": ["l2"]}, "b": {"of": "a/fc", "steps": ["l2"]}},
            "derive.a.of: no such layer, or one that is derived below: b/fc",
        ),
        ({"a": {"of": "net/fc", "steps": []}}, "derive.a.steps"),
        ({"a": {"of": "net/fc", "steps": [{}]}}, "derive.a.steps"),
        ({"a": {"of": "net/fc", "steps": ["pca"]}}, "derive.a.steps"),
        ({"a": {"of": "net/fc", "steps": [{"pca": 0}]}}, "derive.a.steps"),
        ({"a": {"of": "net/fc", "steps": ["l2", "whiten"]}}, "put it right behind pca, as in"),
    ],
)
def test_names_sources_and_steps_that_do_not_go_are_told_in_a_line(project, derive, told):
    put_params(project, derive=derive, probe={"p": {"of": "net/fc"}, "q": {"of": "a/fc", "kind": "zeroshot"}})
    with pytest.raises(UserError) as caught:
        load_params(project.params)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["index", "neighbors", "tsne", "maps", "compare", "outliers"])
def test_a_derived_layer_may_be_asked_for_wherever_a_layer_is(project, section):
    put_params(project, derive=DERIVED, **{section: {"of": ["twice/fc", "net/fc"]}})
    load_params(project.params)
    put_params(project, derive=DERIVED, **{section: {"of": ["twice/fc7"]}})
    with pytest.raises(UserError, match=f"{section}.of: no such layer: twice/fc7; allowed: .*unit/fc"):
        load_params(project.params)


def test_a_text_is_compared_with_a_layer_that_is_only_brought_to_length_one(project):
    clip = {
        "architecture": "open_clip/ViT-B-32.openai", "weights": "pretrained", "layers": {"image": "image"},
    }  # fmt: skip
    derive = {
        "unit": {"of": "clip/image", "steps": ["l2"]},
        "small": {"of": "unit/image", "steps": [{"pca": 8}, "whiten"]},
    }
    dataset = {"name": "toy", "kind": "folder", "root": "images", "train": "train", "test": "test"}
    sections = {"dataset": dataset, "models": {"clip": clip}, "derive": derive}
    asked = {"p": {"of": "unit/image", "kind": "zeroshot"}}
    project.params.write_text(json.dumps({**sections, "probe": asked}))
    load_params(project.params)
    asked["p"]["of"] = "small/image"
    project.params.write_text(json.dumps({**sections, "probe": asked}))
    with pytest.raises(
        UserError, match="small/image is derived by pca, whiten, fitted on images; take clip/image"
    ):
        load_params(project.params)

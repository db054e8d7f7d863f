"""What decides a stage: named parameters with their defaults, and nothing about how the work is done."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from pool5.errors import UserError
from pool5.params import Params, load_params
from pool5.params.recipes import HOW, deciding_values, read_recipes, without_how

ROOT = Path(__file__).parents[2]
RECIPES = read_recipes(ROOT / "recipes.yaml")
SHORT = {
    "dataset": {"name": "own", "kind": "folder", "root": "images", "train": "train", "test": "test"},
    "models": {
        "net": {
            "architecture": "resnet18",
            "weights": "random",
            "layers": {"fc7": "flatten"},
            "preprocess": {"resize": 8, "crop": 8},
            "train": {"epochs": 1, "batch_size": 2, "lr": 0.1},
        }
    },
}


def decided(params: dict) -> dict:
    """{stage: values} of one model's params."""
    params = msgspec.convert(params, Params)
    return {
        stage: deciding_values(params, recipe, "net" if recipe.has_items else None)
        for stage, recipe in RECIPES.items()
    }


def test_every_stage_of_the_graph_has_a_recipe_but_the_one_that_resolves_them():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert set(stages) - {"params"} == set(RECIPES)


def test_stages_that_run_for_each_model_are_those_with_a_foreach():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {s for s in RECIPES if RECIPES[s].has_items} == {
        s for s, spec in stages.items() if "foreach" in spec
    }


def test_defaults_that_stand_in_no_file_are_filled_in():
    assert decided(SHORT)["extract"]["extract.precision"] == "fp32"
    assert decided(SHORT)["tsne"]["tsne"]["perplexity"] == 30.0


def test_writing_a_default_out_changes_no_stage():
    written = SHORT | {"tsne": {"perplexity": 30.0, "seed": 0}, "extract": {"dtype": "float32"}, "ap": {}}
    assert decided(written) == decided(SHORT)


def test_a_setting_that_came_later_changes_what_decides_a_stage_only_where_it_is_set():
    assert "keep" not in decided(SHORT)["tsne"]["tsne"]
    assert "keep" not in decided(SHORT | {"tsne": {"keep": False}})["report"]["tsne"]
    assert decided(SHORT | {"tsne": {"keep": True}})["tsne"]["tsne"]["keep"] is True
    assert "engine" not in decided(SHORT)["index"]["index"]
    assert "engine" not in decided(SHORT | {"index": {"engine": "faiss"}})["report"]["index"]
    assert decided(SHORT | {"index": {"engine": "lance"}})["index"]["index"]["engine"] == "lance"


@pytest.mark.parametrize("section", ["extract", "index", "neighbors", "duplicates", "tsne", "probe", "ap"])
def test_a_section_may_be_empty_or_absent(section, tmp_path):
    for value in ({}, None):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(SHORT | {section: value}))
        assert load_params(tmp_path / "params.yaml") == msgspec.convert(SHORT, Params)


@pytest.mark.parametrize(
    "how", [{"device": "cpu"}, {"workers": 3}, {"batch_size": 7}, {"cache": "elsewhere"}]
)
def test_how_the_work_is_done_decides_nothing(how):
    assert decided(SHORT | {"extract": how}) == decided(SHORT)


def test_the_training_device_decides_nothing():
    model = SHORT["models"]["net"]
    moved = model | {"train": model["train"] | {"device": "cuda:1"}}
    assert decided(SHORT | {"models": {"net": moved}}) == decided(SHORT)


def test_how_names_only_keys_that_there_are():
    plain = msgspec.to_builtins(msgspec.convert(SHORT, Params))
    for key in HOW:
        value = plain
        for step in key.split("."):
            value = value["net" if step == "*" else step]


def test_a_parameter_changes_the_stages_that_name_it_and_no_other():
    changed = decided(SHORT | {"tsne": {"perplexity": 5.0}})
    before = decided(SHORT)
    assert {stage for stage in changed if changed[stage] != before[stage]} == {"tsne", "report"}


def test_a_moved_root_is_looked_for_and_decides_nothing_else():
    moved = SHORT | {"dataset": SHORT["dataset"] | {"root": "/elsewhere/images"}}
    changed, before = decided(moved), decided(SHORT)
    assert {s for s in changed if changed[s] != before[s]} == {"images"}


@pytest.mark.parametrize("text", ["- 1", "ap: {version: x, params: []}", "ap: {params: []}", "a: [", "\x00"])
def test_a_damaged_recipes_file_is_one_line(tmp_path, text):
    (tmp_path / "recipes.yaml").write_text(text)
    with pytest.raises(UserError, match=r"recipes\.yaml"):
        read_recipes(tmp_path / "recipes.yaml")


def test_what_is_told_of_a_run_is_a_params_yaml_but_for_how_the_work_was_done():
    told = without_how(msgspec.convert(SHORT, Params))
    assert not {"device", "batch_size", "workers", "cache"} & set(told["extract"])
    assert "device" not in told["models"]["net"]["train"]
    told["dataset"]["root"] = SHORT["dataset"]["root"]
    assert msgspec.convert(told, Params) == msgspec.convert(SHORT, Params)

"""A changed default changes what a params.yaml means, and nothing in the file shows it: they are pinned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from golden import ROOT, STORED

from pool5.params import Params
from pool5.params.recipes import HOW, Recipe, read_recipes

MINIMAL = {
    "dataset": {"name": "d", "kind": "voc", "root": "r", "train": "a", "test": "b", "sample": {}},
    "models": {
        "*": {
            "architecture": "a",
            "weights": "random",
            "layers": {"l": "n"},
            "preprocess": {"resize": 2, "crop": 1},
            "train": {"epochs": 1, "batch_size": 1, "lr": 1.0},
        }
    },
    "probe": {"*": {"of": "m/l"}},
}
PATH = STORED / "defaults.json"


def defaults() -> dict[str, Any]:
    """{dotted key: value} of a params.yaml that gives only what it must."""
    return dict(_flat(msgspec.to_builtins(msgspec.convert(MINIMAL, Params))))


def _flat(plain: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, dict) and key != "layers":
            yield from _flat(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", list(value) if isinstance(value, tuple) else value


def readers(key: str, recipes: dict[str, Recipe]) -> list[str]:
    """The stages that a key decides."""
    return [
        stage
        for stage, recipe in recipes.items()
        if any(
            f"{key}.".startswith(f"{named}.") or f"{named}.".startswith(f"{key}.") for named in recipe.params
        )
    ]


def problems(stored: dict[str, Any], found: dict[str, Any], recipes: dict[str, Recipe]) -> list[str]:
    """What has changed, and which numbers must be raised because of it."""
    told = []
    for key in sorted({*stored["defaults"], *found}):
        before, now = stored["defaults"].get(key, "no such key"), found.get(key, "no such key")
        if before == now or key in HOW:
            continue
        if before == "no such key":
            continue
        for stage in readers(key, recipes):
            version = recipes[stage].version
            if version <= stored["versions"].get(stage, 0):
                told.append(
                    f"the default of {key} was {before} and is {now}: raise the number in recipes.yaml: "
                    f"{stage}: version, from {version} to {version + 1}"
                )
    return told


def test_no_default_has_changed_without_its_number(request):
    recipes, found = read_recipes(ROOT / "recipes.yaml"), defaults()
    stored = json.loads(PATH.read_text()) if PATH.exists() else {"defaults": {}, "versions": {}}
    told = problems(stored, found, recipes)
    assert told == []
    if request.config.getoption("--update-golden"):
        versions = {stage: recipe.version for stage, recipe in recipes.items()}
        PATH.write_text(json.dumps({"defaults": found, "versions": versions}, indent=1) + "\n")
    elif stored["defaults"] != found:
        raise AssertionError(
            "defaults are new, or have changed with their number: run "
            f"`python -m pytest tests/golden --update-golden` and commit {Path(PATH).name}"
        )


def test_a_changed_default_names_every_number_to_raise():
    recipes = read_recipes(ROOT / "recipes.yaml")
    stored = {
        "defaults": defaults() | {"tsne.perplexity": 31.0, "models.*.preprocess.interpolation": "nearest"},
        "versions": {stage: recipe.version for stage, recipe in recipes.items()},
    }
    told = "\n".join(problems(stored, defaults(), recipes))
    for stage in ("tsne", "model", "extract"):
        assert f"recipes.yaml: {stage}: version" in told
    assert "recipes.yaml: ap: version" not in told


def test_how_the_work_is_done_raises_nothing():
    stored = {"defaults": defaults() | {"extract.batch_size": 7, "extract.device": "cuda"}, "versions": {}}
    assert problems(stored, defaults(), read_recipes(ROOT / "recipes.yaml")) == []

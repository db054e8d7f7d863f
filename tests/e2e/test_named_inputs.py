"""What decides a stage's outputs is named: each file that it opens is a dep, each key is in its recipe."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from audited import stages_of
from project import ROOT

from pool5.params.recipes import HOW, read_recipes

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())
RECIPES = read_recipes(ROOT / "recipes.yaml")
# every stage reads the first two; what is in them for it is in its file under data/params, which is a dep.
# The graph, of which DVC makes no dep, decides nothing: params refuses what DVC would not notice by it
PROJECT_FILES = {"params.yaml", "recipes.yaml", "dvc.yaml"}
OWN = (".cache/",)  # the caches: keyed by all that decides what is in them


@pytest.fixture(scope="module")
def audit(tiny) -> dict:
    return json.loads((tiny / "audit.json").read_text())


def below(name: str, folders: list) -> bool:
    plain = [next(iter(folder)) if isinstance(folder, dict) else folder for folder in folders]
    return any(name == folder or name.startswith(f"{folder}/") for folder in plain)


def named_by_digest(path: str, stage: dict) -> bool:
    """Whether a dep holds its digest: a manifest has those of images, training.json those of manifests."""
    training = "data/manifest/training.json" in stage["deps"] and path != "data/manifest/test.csv"
    manifest = path.startswith("data/manifest/") and training
    return manifest or (path.startswith("data/raw/") and reads_a_manifest(stage))


def reads_a_manifest(stage: dict) -> bool:
    return any(str(dep).startswith("data/manifest") for dep in stage["deps"])


def test_every_stage_ends_well_and_leaves_every_declared_output(audit):
    assert {name: stage["code"] for name, stage in audit.items() if stage["code"]} == {}
    assert {name: stage["missing"] for name, stage in audit.items() if stage["missing"]} == {}


def test_every_stage_of_the_graph_was_run(audit, tiny):
    params = yaml.safe_load((tiny / "params.yaml").read_text())
    names = [name if item is None else f"{name}@{item}" for name, item, _ in stages_of(GRAPH, params)]
    assert list(audit) == names


def test_every_file_that_a_stage_opens_is_a_dep_of_it(audit):
    unnamed = {}
    for name, stage in audit.items():
        for path in stage["opened"]:
            if path in PROJECT_FILES or path.startswith(OWN) or named_by_digest(path, stage):
                continue
            if not below(path, stage["deps"]) and not below(path, stage["outs"]):
                unnamed.setdefault(name, []).append(path)
    assert unnamed == {}


def test_every_key_that_a_stage_reads_is_in_its_recipe(audit):
    unnamed = {}
    for name, stage in audit.items():
        kind, _, item = name.partition("@")
        if kind == "params":
            continue
        named = [key.replace("*", item) for key in RECIPES[kind].params]
        for key in stage["keys"]:
            how = any(fnmatch(key, pattern) for pattern in HOW)
            # where the images lie decides nothing where their digests are known
            place = key == "dataset.root" and reads_a_manifest(stage)
            place |= "trained_on" in named and fnmatch(key, "models.*.train*")
            place |= "doubting" in named and (fnmatch(key, "probe.*.of") or key == "label_issues.of")
            if not how and not place and not any(f"{key}.".startswith(f"{part}.") for part in named):
                unnamed.setdefault(name, []).append(key)
    assert unnamed == {}


def test_a_file_that_is_no_dep_would_be_noticed(audit):
    assert "data/manifest/test.csv" in audit["retrieval"]["opened"]
    # opened by HDF5 and by safetensors, and not by Python
    assert any(path.startswith("data/features/") for path in audit["probe"]["opened"])
    assert any(path.endswith(".safetensors") for path in audit["extract@caffenet"]["opened"])


def test_a_key_that_is_in_no_recipe_would_be_noticed(audit):
    assert "tsne.perplexity" in audit["tsne"]["keys"]
    assert "models.caffenet.train" not in audit["extract@caffenet"]["keys"]
    assert any(key.startswith("models.caffenet.layers") for key in audit["extract@caffenet"]["keys"])


def test_no_stage_depends_on_a_file_of_the_program():
    named = [Path(str(dep)) for stage in GRAPH["stages"].values() for dep in stage.get("do", stage)["deps"]]
    assert not [path for path in named if path.suffix == ".py" or path.parts[0] in {"pipeline", "stages"}]

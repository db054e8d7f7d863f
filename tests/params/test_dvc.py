"""DVC reads params.yaml before the program does: what it makes of the file, and of the names in it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
import yaml

from pool5.params import Dataset, Model

ROOT = Path(__file__).parents[2]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())
SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text())


def leaves(value, key=""):
    """{dotted key: value} of all that is no section."""
    if not isinstance(value, dict):
        return {key: value}
    return {
        k: v for name, part in value.items() for k, v in leaves(part, f"{key}.{name}".lstrip(".")).items()
    }


def another(value):
    if isinstance(value, list):
        return value[::-1] + value[:1]
    return value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else f"{value}-2"


def as_hydra(value):
    """JSON, but for the names in a mapping, which Hydra's grammar has without quotes."""
    return re.sub(r'"(\w+)": ', r"\1: ", json.dumps(value))


def test_setting_a_key_with_dvc_changes_that_key_and_no_other(tmp_path):
    from dvc.utils.hydra import apply_overrides

    before = leaves(SHIPPED)
    assert len(before) > 80
    for key, value in before.items():
        path = shutil.copy(ROOT / "params.yaml", tmp_path)
        apply_overrides(path, [f"{key}={as_hydra(another(value))}"])
        assert leaves(yaml.safe_load(Path(path).read_text())) == before | {key: another(value)}, key


def test_no_name_of_the_params_stands_in_a_command():
    for name, stage in GRAPH["stages"].items():
        command = (stage.get("do") or stage)["cmd"]
        assert command == f"${{run}} pool5.stages.{name}"


def test_what_the_graph_asks_of_params_has_no_default():
    asked = set(re.findall(r"\$\{([\w.]+)\}", json.dumps(GRAPH))) - {"run", "key", "models"}
    sections = {"dataset": Dataset, "item": Model}
    for section, name in (key.split(".") for key in asked):
        fields = {field.name: field.required for field in msgspec.structs.fields(sections[section])}
        assert fields[name], f"{section}.{name}"


def test_a_params_yaml_without_any_default_gives_a_graph(tmp_path):
    from dvc.repo import Repo

    model = SHIPPED["models"]["resnet18-scratch"]
    model = {key: model[key] for key in ("architecture", "weights", "layers", "preprocess")}
    dataset = {key: SHIPPED["dataset"][key] for key in ("name", "kind", "root", "train", "test")}
    for name in ("dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"dataset": dataset, "models": {"net": model}}))
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        names = {stage.addressing.rpartition(":")[2] for stage in repo.index.stages}
    assert {"params", "model@net", "extract@net", "report"} <= names


@pytest.mark.parametrize("name", ["é", "1", "a-b_c"])
def test_names_that_are_allowed_are_stages_to_dvc(tmp_path, name):
    from dvc.repo import Repo

    for file in ("dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    models = {name: SHIPPED["models"]["caffenet"]}
    text = yaml.safe_dump({"dataset": SHIPPED["dataset"], "models": models}, allow_unicode=True)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        assert any(stage.addressing.endswith(f"extract@{name}") for stage in repo.index.stages)

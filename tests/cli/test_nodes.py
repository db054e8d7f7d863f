"""`pool5 nodes` lists what may be a layer, before anything is made."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pool5.cli.nodes import nodes
from pool5.errors import UserError

PARAMS = {
    "dataset": {"name": "own", "kind": "folder", "root": "images", "train": "train", "test": "test"},
    "models": {
        "net": {
            "architecture": "resnet18",
            "weights": "random",
            "layers": {"fc7": "flatten"},
            "preprocess": {"resize": 40, "crop": 32},
        }
    },
    "extract": {"dtype": "float16"},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(json.dumps(PARAMS))


def told(*arguments: str) -> list[str]:
    return CliRunner().invoke(nodes, arguments, catch_exceptions=False).stdout.splitlines()


def test_a_model_of_params_yaml_is_listed_in_order_with_what_its_rows_take(project):
    lines = told("net")
    assert " ".join(lines[0].split()) == "conv1 32.8 kB 327.7 MB for 10,000 64 x 16 x 16 (C, H, W)"
    assert [line.split()[0] for line in lines[-3:]] == ["avgpool", "flatten", "fc"]
    assert not any(line.startswith("layer1.0.conv1 ") for line in lines)
    assert any(line.startswith("layer1.0.conv1 ") for line in told("net", "--all"))


def test_an_architecture_needs_no_params_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [json.loads(line) for line in told("--architecture", "vit_b_16", "--crop", "32", "--json")]
    block = next(row for row in rows if row["node"] == "encoder.layers.encoder_layer_11")
    assert block == {
        "node": "encoder.layers.encoder_layer_11",
        "shape": [5, 768],
        "axes": "tokens,C",
        "prefix_tokens": 1,
        "pools": ["flatten", "cls", "mean", "max", "gem"],
        "row_bytes": 5 * 768 * 4,
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a model of params.yaml, or --architecture"),
        (["nte"], "no model nte in params.yaml; it has net"),
        (["net", "--crop", "64"], "--crop goes with --architecture"),
        (["--architecture", "resnet81"], "did you mean resnet18"),
        (["--architecture", "alexnet", "--crop", "32"], "cannot take images of 32 px"),
    ],
)
def test_what_cannot_be_listed_is_one_line(project, arguments, problem):
    with pytest.raises(UserError, match=problem):
        told(*arguments)

"""The recipes of presets/voc2007.yaml run: one epoch of each on a small devkit of VOC 2007's layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from pool5.datasets.inventory import take_inventory
from pool5.models.card import read_card
from pool5.models.layers import check_layers
from pool5.params import Layer, Sample, load_params
from pool5.project import Project
from pool5.sample.devkit import draw_devkit
from pool5.stages.model import main as stage

ROOT = Path(__file__).resolve().parents[2]
PRESET = ROOT / "presets/voc2007.yaml"
MODELS = yaml.safe_load(PRESET.read_text())["models"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which the stage of every model of the preset can run, on images and batches made small."""
    folder = tmp_path_factory.mktemp("project")
    raw = yaml.safe_load(PRESET.read_text())
    raw["dataset"]["root"] = str(folder / "devkit")
    for name in ("resnet18", "alexnet"):
        if not list(Path(torch.hub.get_dir()).glob(f"checkpoints/{name}-*.pth")):
            for model in raw["models"].values():
                if model["architecture"] == name and model["weights"] == "imagenet":
                    model["weights"] = "random"
    for model in raw["models"].values():
        model["preprocess"] |= {"resize": 80, "crop": 72}
        if model["train"]:
            model["train"] |= {"epochs": 1, "head_epochs": 0, "batch_size": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    draw_devkit(folder / "devkit", Sample(train=6, val=3, test=3, source=1))
    params = load_params(folder / "params.yaml")
    take_inventory(Project(folder), params.dataset)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_one_epoch_of_each_recipe_runs(project, monkeypatch, name):
    monkeypatch.chdir(project)
    stage(name)
    card = read_card(f"data/models/{name}")
    layers = {layer: Layer(node=node) for layer, node in MODELS[name]["layers"].items()}
    check_layers(card, MODELS[name]["architecture"], layers, project)
    assert card.crop == 72
    metrics = json.loads(Path(f"reports/metrics/training/{name}.json").read_text())
    trained = MODELS[name]["train"] is not None
    assert metrics["epochs"] == (1 if trained else 0)
    assert (Path("reports/training") / name).is_dir()
    assert trained == (Path("reports/training") / name / "plots/metrics/loss.tsv").exists()
    assert not list(Path(".cache").rglob("state.pt"))


def test_the_preset_has_the_models_of_the_write_up():
    params = load_params(PRESET)
    assert list(params.models) == [
        "caffenet",
        "resnet18-scratch",
        "resnet18-imagenet",
        "resnet18-finetuned",
    ]
    assert params.models["resnet18-imagenet"].train is None
    assert params.probe["resnet18-frozen"].of == "resnet18-imagenet/fc7"
    # nothing in it chooses on the test split
    for model in params.models.values():
        assert model.train is None or model.train.split in (None, "trainval")

"""Eight networks of five sources in one params.yaml: pooled layers, words, every kind of probe."""

from __future__ import annotations

import csv
import json

import h5py
import pytest
import yaml
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.long]

SMALL = {"resize": 72, "crop": 64}
CENTRED = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}
MODELS = {
    "caffenet": {
        "architecture": "caffenet",
        "layers": {"pool5": "pool5"},
        "preprocess": {"resize": 104, "crop": 96},
    },
    "resnet18": {
        "architecture": "resnet18",
        "layers": {"pooled": "flatten", "gem": {"node": "layer4", "pool": "gem"}},
        "preprocess": SMALL,
    },
    "vit": {
        "architecture": "vit_b_32",
        "layers": {
            "cls": {"node": "encoder.ln", "pool": "cls"},
            "patches": {"node": "encoder.ln", "pool": "mean"},
        },
        "preprocess": SMALL,
    },
    "timm-vit": {
        "architecture": "timm/test_vit.r160_in1k",
        "layers": {"tokens": "blocks.5", "patches": {"node": "blocks.5", "pool": "mean"}},
    },
    "timm-convnext": {
        "architecture": "timm/test_convnext.r160_in1k",
        "layers": {"map": {"node": "stages.3", "pool": "max"}},
    },
    "dinov2": {
        "architecture": "timm/vit_small_patch14_dinov2.lvd142m",
        "layers": {"cls": {"node": "norm", "pool": "cls"}, "patches": {"node": "norm", "pool": "mean"}},
        "preprocess": {"resize": 64, "crop": 56, "interpolation": "bicubic"},
    },
    "clip": {
        "architecture": "open_clip/tiny_clip.json",
        "layers": {"image": "image"},
        "preprocess": SMALL | CENTRED,
    },
    "own": {
        "architecture": "my_models.py:build",
        "arguments": {"width": 12},
        "layers": {"map": {"node": "trunk", "pool": "mean"}},
        "preprocess": SMALL,
    },
}
TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
MY_MODELS = """\
from torch import nn


class Small(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, width, 5, stride=4), nn.ReLU(), nn.Conv2d(width, width, 3))

    def forward(self, images):
        return self.trunk(images).mean((2, 3))


def build(width):
    return Small(width)
"""
PARAMS = {
    "dataset": {
        "name": "sample",
        "kind": "voc",
        "root": "data/raw/sample",
        "train": "trainval",
        "val": "val",
        "test": "test",
        "sample": {"train": 60, "val": 20, "test": 40, "source": 1},
    },
    "models": {name: {"weights": "random"} | spec for name, spec in MODELS.items()},
    "index": {"of": ["dinov2/cls"], "queries": 10},
    "neighbors": {"of": ["dinov2/cls", "clip/image", "own/map"], "depth": 20, "bootstrap": 50},
    "tsne": {"of": ["dinov2/patches"], "perplexity": 8, "stability_seeds": 1},
    "probe": {
        "linear": {"of": "dinov2/cls", "C": [0.1, 1.0], "folds": 2, "shots": [1, 2], "repeats": 2},
        "knn": {"of": "dinov2/cls", "kind": "knn", "k": 10, "shots": [1, 2], "repeats": 2},
        "words": {"of": "clip/image", "kind": "zeroshot", "templates": ["a photo of a {}.", "a {}"]},
    },
    "ap": {"of": ["linear", "knn", "words"], "bootstrap": 50},
}
SHAPES = {
    "caffenet/pool5": [256, 1, 1],
    "resnet18/pooled": [512],
    "resnet18/gem": [512],
    "vit/cls": [768],
    "timm-vit/tokens": [101, 64],
    "timm-vit/patches": [64],
    "timm-convnext/map": [64],
    "dinov2/cls": [384],
    "clip/image": [32],
    "own/map": [12],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project.copy_to(tmp_path_factory.mktemp("networks"), PARAMS)
    (project.folder / "tiny_clip.json").write_text(json.dumps(TINY_CLIP))
    (project.folder / "my_models.py").write_text(MY_MODELS)
    told = project.run("pool5", "check")
    assert told.code == 2
    for file in ("tiny_clip.json", "my_models.py"):
        assert f"add {file} to the deps of the stage params in dvc.yaml" in told.err
    graph = yaml.safe_load((project.folder / "dvc.yaml").read_text())
    graph["stages"]["params"]["deps"] += ["tiny_clip.json", "my_models.py"]
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False, width=1000))
    done = project.repro()
    assert done.code == 0, done.err
    return project


@pytest.mark.parametrize("layer", SHAPES)
def test_a_layer_says_what_its_value_is(project, layer):
    model, _, name = layer.partition("/")
    with h5py.File(project.folder / f"data/features/{model}/test.h5") as file:
        shape = json.loads(file.attrs[f"shape.{name}"])
        assert shape["shape"] == SHAPES[layer]
        assert file[f"layers/{name}"].shape[0] == 40


@pytest.mark.parametrize("model", MODELS)
def test_the_full_key_is_shown(project, model):
    shown = project.run("pool5", "show", f"data/features/{model}/test.h5")
    assert shown.code == 0, shown.err
    for field in ("architecture", "weights_sha256", "node", "preprocessing", "interpolation", "precision"):
        assert field in shown.out, shown.out
    assert MODELS[model]["architecture"] in shown.out


def test_probes_of_every_kind_stand_in_one_table(project):
    with (project.folder / "reports/ap/ap.csv").open() as file:
        means = {row["model"]: row for row in csv.DictReader(file) if row["class"] == "mAP"}
    assert set(means) == {"linear", "knn", "words"}
    assert all(float(row["lo"]) <= float(row["ap"]) <= float(row["hi"]) for row in means.values())


def test_a_question_in_words_is_answered(project):
    asked = project.run(
        "pool5", "query", "--text", "a dog on a sofa", "--model", "clip", "--layer", "image", "--json"
    )
    assert asked.code == 0, asked.err
    assert [near["rank"] for near in json.loads(asked.out)] == [1, 2, 3, 4]


def test_a_changed_file_of_ones_own_runs_its_model_again_and_no_other(project):
    path = project.folder / "my_models.py"
    path.write_text(path.read_text().replace("stride=4", "stride=3"))
    done = project.repro()
    assert done.code == 0, done.err
    assert [stage for stage in done.stages if stage.startswith(("model", "extract"))] == [
        "model@own",
        "extract@own",
    ]


def test_the_page_names_every_network(project):
    page = (project.folder / "reports/index.html").read_text()
    assert all(spec["architecture"] in page for spec in MODELS.values())

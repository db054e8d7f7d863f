"""The zero-shot probe: what open_clip's own classifier gives, as a probe like any other."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open

from pool5.errors import UserError
from pool5.models.preprocessing import settled
from pool5.models.text import load_text_tower
from pool5.models.weights import start_network, store_start
from pool5.params import Model, Probe, load_params
from pool5.probe.kind import ProbeTask
from pool5.probe.kinds import RECORD, WEIGHTS, decided_by, make_probe
from pool5.probe.zeroshot import train
from pool5.results.probe import ProbeResult
from pool5.results.record import load_record
from tests.models.small_clip import CONFIG, SIGLIP, put_config
from tests.probe.feature_files import draw_labels, put_task
from tests.probe.kind_tests import ProbeKindTests

TEMPLATES = ("a photo of a {}.", "{}", "a drawing of the {}")


def put_clip(folder, config=SIGLIP):
    """A model's folder, in a project of the same folder."""
    spec = Model(architecture=put_config(folder, config), weights="random", layers={"image": "image"})
    spec = settled("net", {"net": spec}, folder)
    store_start("net", start_network("net", spec, (), folder, folder), folder / "net")


class TestZeroShot(ProbeKindTests):
    settings = Probe(of="net/fc7", kind="zeroshot", templates=TEMPLATES)

    def put(self, folder, labels, truth) -> ProbeTask:
        put_clip(folder)
        task = put_task(folder, self.settings, labels, truth)
        return dataclasses.replace(task, model=folder / "net", root=folder)


@pytest.fixture(params=[CONFIG, SIGLIP], ids=["clip", "siglip"])
def task(tmp_path, request) -> ProbeTask:
    put_clip(tmp_path, request.param)
    settings = TestZeroShot.settings
    made = put_task(tmp_path, settings, draw_labels(9, (0.4, 0.2, 0.5)), draw_labels(7, (0.4, 0.2, 0.5)))
    return dataclasses.replace(made, model=tmp_path / "net", root=tmp_path)


def test_logits_are_those_of_open_clips_own_zero_shot_classifier(task):
    network = load_text_tower(task.model, task.root).network
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    theirs = open_clip.build_zero_shot_classifier(network, tokenizer, task.train.classes, TEMPLATES)
    rows = torch.nn.functional.normalize(torch.from_numpy(np.array(task.test.layer("fc7"))), dim=1)
    with torch.no_grad():
        wanted = network.logit_scale.exp() * rows @ theirs
        wanted = wanted if network.logit_bias is None else wanted + network.logit_bias
    probe = train(task)
    np.testing.assert_allclose(probe.logits(np.array(task.test.layer("fc7"))), wanted, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(
        probe.tensors["weight"], (network.logit_scale.exp() * theirs.T).detach(), atol=1e-5
    )


def test_no_label_and_no_image_of_the_training_split_is_learned_from(task, tmp_path):
    (tmp_path / "other").mkdir()
    other = put_task(tmp_path / "other", task.settings, draw_labels(5, (0.1, 0.9, 0.5), 3), np.ones((2, 3)))
    again = train(dataclasses.replace(task, train=other.train))
    assert all(np.array_equal(value, again.tensors[name]) for name, value in train(task).tensors.items())


def test_the_files_say_which_texts_and_which_tower(task, tmp_path):
    (tmp_path / "made").mkdir()
    make_probe(task, tmp_path / "made")
    with safe_open(tmp_path / "made" / WEIGHTS, "np") as file:
        about = json.loads(file.metadata()["pool5"])
    assert about["templates"] == list(TEMPLATES)
    assert about["text"]["context_length"] == 16
    assert len(about["text"]["tokenizer_sha256"]) == len(about["text"]["weights_sha256"]) == 64
    (probe,) = load_record(ProbeResult, tmp_path / "made" / RECORD).probes
    assert probe.classes[1].texts == ("a photo of a c1.", "c1", "a drawing of the c1")


def test_templates_and_text_tower_decide_it(task, tmp_path):
    other = dataclasses.replace(task, settings=Probe(of="net/fc7", kind="zeroshot", templates=("{}",)))
    assert decided_by(other) != decided_by(task)
    put_clip(tmp_path, SIGLIP | {"init_logit_bias": -9})
    assert decided_by(dataclasses.replace(task)) != decided_by(other)


PARAMS = """
dataset: {{name: toy, kind: folder, root: r, train: train, test: test}}
models:
  clip: {{architecture: {architecture}, weights: random, layers: {{image: image, b: visual.ln_post}}}}
probe:
  zs: {{of: clip/{layer}, kind: zeroshot, templates: ["{template}"]}}
"""


@pytest.mark.parametrize(
    ("architecture", "layer", "template", "told"),
    [
        (
            "resnet18",
            "image",
            "{}",
            "probe.zs: kind zeroshot: resnet18 has no text tower; models",
        ),
        (
            "open_clip/ViT-B-32",
            "b",
            "{}",
            "layer b is visual.ln_post, and texts lie in the space of",
        ),
        ("open_clip/ViT-B-32", "image", "a cat", "probe.zs.templates: 'a cat' has no {}"),
    ],
)
def test_what_cannot_be_asked_in_words_is_one_line_of_params(tmp_path, architecture, layer, template, told):
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.format(architecture=architecture, layer=layer, template=template))
    with pytest.raises(UserError) as refusal:
        load_params(path)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)

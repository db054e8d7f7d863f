"""The training loop's promises: the same bytes each time, whatever kills it, and errors in one line."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
import shutil
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
import torch

from pool5.datasets.manifest import write_manifest
from pool5.errors import UserError
from pool5.labels import Labels
from pool5.models.card import read_card
from pool5.models.network import build_network, load_network
from pool5.models.weights import start_network
from pool5.params import Augment, Dataset, Params, Train
from pool5.project import Project
from pool5.results.training import TrainingResult
from pool5.training.checkpoint import Checkpoints
from pool5.training.make_model import make_model
from pool5.training.train import train_model

RECIPE = Train(
    epochs=3,
    batch_size=8,
    lr=0.05,
    weight_decay=1e-4,
    warmup_epochs=1,
    ema=0.9,
    hold_out=True,
    keep="best",
    augment=Augment(scale=(0.3, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05),
    device="cpu",
)
# mobilenet_v3_small has BatchNorm and dropout: both must come back after a kill
DROPOUT = "mobilenet_v3_small"
MODEL = "data/models/toy"
CURVES = "reports/training/toy/plots/metrics"


def params_of(toy, recipe, architecture="shufflenet_v2_x0_5") -> Params:
    dataset = Dataset(name="toy", kind="folder", root=str(toy.root), train="trainval", val="val", test="test")
    return Params(dataset=dataset, models={"toy": toy.model(recipe, architecture)})


def train(toy, out, recipe=RECIPE, *, architecture="shufflenet_v2_x0_5", manifest=None) -> TrainingResult:
    project = Project(out)
    write_manifest(toy.train if manifest is None else manifest, project.manifest("trainval"))
    write_manifest(toy.val, project.manifest("val"))
    return make_model("toy", params_of(toy, recipe, architecture), project)


def weights(out) -> str:
    return read_card(out / MODEL).weights_sha256


def files_of(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def changed(recipe: Train, **fields) -> Train:
    return msgspec.structs.replace(recipe, **fields)


def test_two_trainings_give_the_same_bytes_and_leave_no_checkpoint(toy, tmp_path):
    first = train(toy, tmp_path / "a", architecture=DROPOUT)
    torch.manual_seed(99)
    second = train(toy, tmp_path / "b", architecture=DROPOUT)
    assert first == second
    files = files_of(tmp_path / "a")
    assert files == files_of(tmp_path / "b")
    assert {name for name in files if not name.startswith("data/manifest")} == {
        f"{MODEL}/weights.safetensors",
        f"{MODEL}/model.json",
        f"{CURVES}/loss.tsv",
        f"{CURVES}/lr.tsv",
        f"{CURVES}/val_map.tsv",
    }
    train(toy, tmp_path / "c", changed(RECIPE, seed=1), architecture=DROPOUT)
    assert weights(tmp_path / "c") != weights(tmp_path / "a")


_CHILD = """
import pickle, sys
from pathlib import Path
from pool5.project import Project
from pool5.training.checkpoint import Checkpoints
from pool5.training.make_model import make_model
params, out = pickle.loads(Path(sys.argv[1]).read_bytes())
make_model("toy", params, Project(out))
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(toy, tmp_path, caplog):
    caplog.set_level("INFO", "pool5")
    recipe = changed(RECIPE, epochs=6, head_epochs=2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = train(toy, whole, recipe, architecture=DROPOUT)
    shutil.copytree(whole / "data/manifest", cut / "data/manifest")
    arguments = tmp_path / "arguments"
    arguments.write_bytes(pickle.dumps((params_of(toy, recipe, DROPOUT), cut)))
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(arguments)])
    epoch, delay = random.randint(1, 4), random.uniform(0, 0.3)
    print(f"to be killed {delay:.3f} s after epoch {epoch}")
    losses = cut / CURVES / "loss.tsv"
    while not losses.exists() or len(losses.read_text().splitlines()) < 1 + epoch:
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(delay)
    child.kill()
    child.wait()
    assert not (cut / MODEL).exists()
    assert len(list(Project(cut).checkpoints.rglob("state.pt"))) == 1
    # DVC removes a stage's outputs before it runs again
    (cut / "reports").rename(tmp_path / "removed")
    assert train(toy, cut, recipe, architecture=DROPOUT) == expected
    assert "going on after epoch" in caplog.text
    assert files_of(cut) == files_of(whole)


def test_a_checkpoint_of_another_recipe_or_other_images_is_not_taken_up(toy, tmp_path, caplog):
    caplog.set_level("INFO", "pool5")
    train(toy, tmp_path / "a", changed(RECIPE, lr=0.02))
    stopped = tmp_path / "b"
    with pytest.raises(UserError, match="not a number"):
        train(toy, stopped, changed(RECIPE, lr=1e30, warmup_epochs=0))
    train(toy, stopped, changed(RECIPE, lr=0.02))
    assert weights(stopped) == weights(tmp_path / "a")
    assert "going on" not in caplog.text
    assert not list(Project(stopped).checkpoints.rglob("state.pt"))


def stopped_before_it_is_stored(toy, out):
    """The last checkpoint of a training that was stopped between it and the model's folder."""
    (out / MODEL).parent.mkdir(parents=True)
    (out / MODEL).write_text("a file where a folder should be")
    with pytest.raises(OSError):
        train(toy, out)
    (out / MODEL).unlink()
    (state,) = Project(out).checkpoints.rglob("state.pt")
    return state


DAMAGE = {
    "cut": lambda data: data[:1000],
    "empty": lambda data: b"",
    "no archive": lambda data: b"no state at all" * 99,
    "a pickle cut short": lambda data: pickle.dumps(torch.zeros(9))[:30],
    "a pickle with nothing in it": lambda data: b"\x80\x02.",
    # PyTorch reads it, as other weights
    "one bit of a weight": lambda data: data.replace(*(np.float32(x).tobytes() for x in (300, 301)), 1),
    "one bit of its sum": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "bytes turned": lambda data: data[:200] + bytes(255 - byte for byte in data[200:600]) + data[600:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_and_costs_the_epochs_and_nothing_else(tmp_path, damage, caplog):
    checkpoints = Checkpoints(tmp_path, "toy", "0" * 32)
    checkpoints.write({"network": {"weight": torch.arange(500.0)}, "history": [{"loss": 1.0}]})
    checkpoints.path.write_bytes(DAMAGE[damage](checkpoints.path.read_bytes()))
    assert checkpoints.read() is None
    assert "state.damaged: damaged" in caplog.text
    assert "starts anew" in caplog.text
    assert [path.name for path in checkpoints.path.parent.iterdir()] == ["state.damaged"]


def test_a_training_starts_anew_from_a_damaged_checkpoint(toy, tmp_path):
    expected = train(toy, tmp_path / "a")
    state = stopped_before_it_is_stored(toy, tmp_path / "b")
    state.write_bytes(state.read_bytes()[:1000])
    assert train(toy, tmp_path / "b") == expected
    assert files_of(tmp_path / "b") == files_of(tmp_path / "a")


def test_the_held_out_images_are_not_trained_on(toy, tmp_path):
    # their files are not even needed where nothing is held out of a manifest without them
    without = toy.train.take(np.arange(24))
    held_out = train(toy, tmp_path / "a", changed(RECIPE, keep="last"))
    train(toy, tmp_path / "b", changed(RECIPE, keep="last"), manifest=without)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert held_out.images == 24
    everything = train(toy, tmp_path / "c", changed(RECIPE, keep="last", hold_out=False))
    assert weights(tmp_path / "c") != weights(tmp_path / "b")
    assert everything.images == 32
    assert "val_map" not in everything.metrics()


def test_the_best_epoch_is_kept_where_asked_for(toy, tmp_path):
    result = train(toy, tmp_path)
    by_epoch = [epoch.val_map for epoch in result.history]
    assert result.kept_epoch == 1 + by_epoch.index(max(by_epoch))
    assert result.metrics()["val_map"] == max(by_epoch)
    assert (tmp_path / CURVES / "val_map.tsv").read_text().split() == [
        "step", "val_map", *(text for step, value in enumerate(by_epoch) for text in (str(step), str(value)))
    ]  # fmt: skip


def test_where_no_class_of_val_has_a_positive_there_is_no_map_and_the_first_epoch_is_kept(toy, tmp_path):
    recipe = changed(RECIPE, epochs=2)
    project = Project(tmp_path)
    write_manifest(toy.train, project.manifest("trainval"))
    val = dataclasses.replace(toy.val, labels=np.full_like(toy.val.labels, -1))
    write_manifest(val, project.manifest("val"))
    result = make_model("toy", params_of(toy, recipe), project)
    assert [epoch.val_map for epoch in result.history] == [None, None]
    assert result.kept_epoch == 1
    assert not (tmp_path / CURVES / "val_map.tsv").exists()


def test_without_classes_there_is_nothing_to_train_but_a_model_to_use(toy, tmp_path):
    unlabelled = dataclasses.replace(toy.train, classes=(), labels=np.empty((32, 0), np.int8))
    with pytest.raises(UserError, match=r"models.toy.train: the data set has no classes to learn"):
        train(toy, tmp_path, manifest=unlabelled)
    result = train(toy, tmp_path, None, manifest=unlabelled)
    assert result == TrainingResult(model="toy")
    assert result.metrics() == {"epochs": 0}
    assert (tmp_path / "reports/training/toy").is_dir()
    assert read_card(tmp_path / MODEL).classes == ()


def test_it_learns_colours(toy, tmp_path):
    recipe = Train(epochs=20, batch_size=8, optimizer="adamw", lr=0.01, hold_out=True, device="cpu")
    metrics = train(toy, tmp_path, recipe).metrics()
    assert metrics["val_map"] > 0.9
    assert metrics["loss"] < 0.4


def what_learns(toy, out, recipe) -> set[str]:
    """The names of the weights and buffers that a training changes."""
    before = start_network("toy", toy.model(recipe), toy.train.classes, out).network.state_dict()
    train(toy, out, recipe)
    after = load_network(out / MODEL).state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("fields", [{"freeze": "trunk"}, {"epochs": 1, "head_epochs": 1}], ids=str)
def test_a_frozen_trunk_keeps_its_weights_and_its_batch_norm(toy, tmp_path, fields):
    recipe = changed(RECIPE, keep="last", hold_out=False, **fields)
    assert what_learns(toy, tmp_path, recipe) == {"fc.weight", "fc.bias"}


def test_the_trunk_learns_after_the_heads_epochs(toy, tmp_path):
    recipe = changed(RECIPE, keep="last", hold_out=False, epochs=2, head_epochs=1)
    assert {"conv1.0.weight", "conv1.1.running_mean", "fc.weight"} < what_learns(toy, tmp_path, recipe)


def test_frozen_statistics_stay_while_everything_else_learns(toy, tmp_path):
    recipe = changed(RECIPE, keep="last", hold_out=False, freeze="statistics")
    learnt = what_learns(toy, tmp_path, recipe)
    assert {"conv1.0.weight", "conv1.1.weight", "fc.weight"} < learnt
    assert not {name for name in learnt if "running_" in name or "num_batches" in name}


def test_the_card_carries_the_recipe(toy, tmp_path):
    train(toy, tmp_path)
    card = read_card(tmp_path / MODEL)
    assert card.recipe | {"device": RECIPE.device} == json.loads(msgspec.json.encode(RECIPE))
    assert card.classes == toy.train.classes
    assert card.origin == "drawn at random from seed 0"


def test_a_class_without_positives_is_told_with_the_models_name(toy, tmp_path, caplog):
    labels = np.asarray(toy.train.labels)
    labels[:, 1] = np.where(labels[:, 1] == 1, -1, labels[:, 1])
    train(toy, tmp_path, manifest=dataclasses.replace(toy.train, labels=Labels.dense(labels)))
    told = [message for message in caplog.messages if "no positive image" in message]
    assert told == ["model toy: no positive image in split trainval for green: it learns to say no there"]
    nothing = Labels.dense(np.full_like(labels, -1))
    with pytest.raises(UserError, match="model toy: no image of split trainval has any class"):
        train(toy, tmp_path, manifest=dataclasses.replace(toy.train, labels=nothing))
    with pytest.raises(UserError, match="model toy: no image to train on in split trainval"):
        train(toy, tmp_path, manifest=toy.val)


def test_a_loss_that_is_not_a_number_names_model_and_class_and_leaves_no_model(toy, tmp_path):
    model = toy.model(RECIPE)
    start = start_network("toy", model, toy.train.classes, tmp_path)
    with torch.no_grad():
        start.network.fc.bias[2] = float("nan")
    with pytest.raises(UserError, match=r"model toy: the loss is not a number in epoch 1, for blue; lower"):
        train_model("toy", model, start, toy.train, toy.val, Project(tmp_path), toy.root)
    assert not (tmp_path / MODEL).exists()


def test_cuda_where_there_is_none_is_told(toy, tmp_path):
    with pytest.raises(
        UserError, match=r"models.toy.train.device: cuda:7: (torch finds no GPU|there are \d+ GPUs)"
    ):
        train(toy, tmp_path, changed(RECIPE, device="cuda:7"))


def test_training_leaves_torchs_global_state_as_it_was(toy, tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train(toy, tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_larger_than_the_split_is_the_whole_split(toy, tmp_path):
    train(toy, tmp_path, changed(RECIPE, batch_size=1000))
    assert read_card(tmp_path / MODEL).outputs == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_is_deterministic_and_agrees_with_the_cpu(toy, tmp_path):
    recipe = changed(RECIPE, ema=None, device="cuda")
    first = train(toy, tmp_path / "a", recipe, architecture="resnet18")
    assert train(toy, tmp_path / "b", recipe, architecture="resnet18") == first
    on_cpu = train(toy, tmp_path / "cpu", changed(recipe, device="cpu"), architecture="resnet18")
    # the first epoch, before rounding has had many steps to grow
    assert first.history[0].loss == pytest.approx(on_cpu.history[0].loss, rel=2e-2)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_features_on_the_gpu_agree_with_the_cpu():
    torch.manual_seed(0)
    network = build_network("resnet18", 20, 64).eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        on_cpu = network(images)
        on_gpu = network.cuda()(images.cuda()).cpu()
    # TF32 in the convolutions keeps ten bits of the mantissa
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-2, atol=1e-2)

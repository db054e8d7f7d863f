"""The training loop's promises: the same bytes each time, whatever kills it, and errors in one line."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
import torch

from pool5.errors import UserError
from pool5.models.card import read_card
from pool5.models.network import build_network, load_network
from pool5.models.weights import start_network
from pool5.params import Augment, Train
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


def train(
    toy, out, recipe=RECIPE, *, architecture="shufflenet_v2_x0_5", manifest=None, start=None, **options
):
    model = toy.model(recipe, architecture)
    manifest = toy.train if manifest is None else manifest
    return train_model(
        "toy",
        model,
        start or start_network("toy", model, manifest.classes),
        manifest,
        toy.val,
        root=toy.root,
        model_dir=out / "model",
        curves_dir=out / "curves",
        metrics_file=out / "metrics.json",
        checkpoint_dir=out / "checkpoints",
    )


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
    assert set(files) == {
        "model/weights.safetensors",
        "model/model.json",
        "metrics.json",
        "curves/plots/metrics/loss.tsv",
        "curves/plots/metrics/lr.tsv",
        "curves/plots/metrics/val_map.tsv",
    }
    other = train(toy, tmp_path / "c", changed(RECIPE, seed=1), architecture=DROPOUT)
    assert other.weights_sha256 != first.weights_sha256


_CHILD = """
import pickle, sys
from pathlib import Path
from pool5.models.weights import start_network
from pool5.training.train import train_model
root, train, val, model, out = pickle.loads(Path(sys.argv[1]).read_bytes())
train_model("toy", model, start_network("toy", model, train.classes), train, val, root=root,
            model_dir=out / "model", curves_dir=out / "curves", metrics_file=out / "metrics.json",
            checkpoint_dir=out / "checkpoints")
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(toy, tmp_path, capfd):
    recipe = changed(RECIPE, epochs=6, head_epochs=2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = train(toy, whole, recipe, architecture=DROPOUT)
    arguments = tmp_path / "arguments"
    arguments.write_bytes(pickle.dumps((toy.root, toy.train, toy.val, toy.model(recipe, DROPOUT), cut)))
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(arguments)])
    epoch, delay = random.randint(1, 4), random.uniform(0, 0.3)
    print(f"to be killed {delay:.3f} s after epoch {epoch}")
    losses = cut / "curves/plots/metrics/loss.tsv"
    while not losses.exists() or len(losses.read_text().splitlines()) < 1 + epoch:
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(delay)
    child.kill()
    child.wait()
    assert not (cut / "model").exists()
    assert len(list((cut / "checkpoints").rglob("state.pt"))) == 1
    # DVC removes a stage's outputs before it runs again
    (cut / "curves").rename(tmp_path / "removed")
    assert train(toy, cut, recipe, architecture=DROPOUT) == expected
    assert "going on after epoch" in capfd.readouterr().err
    assert files_of(cut) == files_of(whole)


def test_a_checkpoint_of_another_recipe_or_other_images_is_not_taken_up(toy, tmp_path, capfd):
    expected = train(toy, tmp_path / "a", changed(RECIPE, lr=0.02))
    stopped = tmp_path / "b"
    with pytest.raises(UserError, match="not a number"):
        train(toy, stopped, changed(RECIPE, lr=1e30, warmup_epochs=0))
    assert train(toy, stopped, changed(RECIPE, lr=0.02)).weights_sha256 == expected.weights_sha256
    assert "going on" not in capfd.readouterr().err
    assert not list((stopped / "checkpoints").rglob("state.pt"))


def test_a_damaged_checkpoint_costs_the_epochs_and_nothing_else(toy, tmp_path):
    expected = train(toy, tmp_path / "a")
    out = tmp_path / "b"
    # a file where the metrics' folder should be stops the training after its last checkpoint
    (out / "model").parent.mkdir(parents=True)
    (out / "model").write_text("")
    with pytest.raises(OSError):
        train(toy, out)
    (state,) = (out / "checkpoints").rglob("state.pt")
    state.write_bytes(state.read_bytes()[:1000])
    (out / "model").unlink()
    assert train(toy, out) == expected


def test_the_held_out_images_are_not_trained_on(toy, tmp_path):
    # their files are not even needed where nothing is held out of a manifest without them
    without = toy.train.take(np.arange(24))
    held_out = train(toy, tmp_path / "a", changed(RECIPE, keep="last"))
    alone = train(toy, tmp_path / "b", changed(RECIPE, keep="last"), manifest=without)
    assert held_out.weights_sha256 == alone.weights_sha256
    everything = train(toy, tmp_path / "c", changed(RECIPE, keep="last", hold_out=False))
    assert everything.weights_sha256 != alone.weights_sha256
    assert "val_map" not in json.loads((tmp_path / "c/metrics.json").read_text())


def test_the_best_epoch_is_kept_where_asked_for(toy, tmp_path):
    train(toy, tmp_path)
    history = (tmp_path / "curves/plots/metrics/val_map.tsv").read_text().split()[2:]
    by_epoch = [float(value) for value in history[1::2]]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["kept_epoch"] == 1 + by_epoch.index(max(by_epoch))
    assert metrics["val_map"] == max(by_epoch)


def test_it_learns_colours(toy, tmp_path):
    recipe = Train(epochs=20, batch_size=8, optimizer="adamw", lr=0.01, hold_out=True, device="cpu")
    train(toy, tmp_path, recipe)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["val_map"] > 0.9
    assert metrics["loss"] < 0.4


def what_learns(toy, out, recipe) -> set[str]:
    """The names of the weights and buffers that a training changes."""
    before = start_network("toy", toy.model(recipe), toy.train.classes).network.state_dict()
    train(toy, out, recipe)
    after = load_network(out / "model").state_dict()
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
    card = train(toy, tmp_path)
    assert read_card(tmp_path / "model") == card
    assert card.recipe == json.loads(msgspec.json.encode(RECIPE))
    assert card.classes == toy.train.classes
    assert card.origin == "drawn at random from seed 0"


def test_a_class_without_positives_is_told_with_the_models_name(toy, tmp_path, capfd):
    labels = toy.train.labels.copy()
    labels[:, 1] = np.where(labels[:, 1] == 1, -1, labels[:, 1])
    train(toy, tmp_path, manifest=dataclasses.replace(toy.train, labels=labels))
    told = [line for line in capfd.readouterr().err.splitlines() if "no positive image" in line]
    assert told == [
        "pool5: model toy: no positive image in split trainval for green: it learns to say no there"
    ]
    with pytest.raises(UserError, match="model toy: no image of split trainval has any class"):
        train(toy, tmp_path, manifest=dataclasses.replace(toy.train, labels=np.full_like(labels, -1)))
    with pytest.raises(UserError, match="model toy: no image to train on in split trainval"):
        train(toy, tmp_path, manifest=toy.val)


def test_a_loss_that_is_not_a_number_names_model_and_class_and_leaves_no_model(toy, tmp_path):
    model = toy.model(RECIPE)
    start = start_network("toy", model, toy.train.classes)
    with torch.no_grad():
        start.network.fc.bias[2] = float("nan")
    with pytest.raises(UserError, match=r"model toy: the loss is not a number in epoch 1, for blue; lower"):
        train(toy, tmp_path, start=start)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "metrics.json").exists()


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
    card = train(toy, tmp_path, changed(RECIPE, batch_size=1000))
    assert card.outputs == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_is_deterministic_and_agrees_with_the_cpu(toy, tmp_path):
    recipe = changed(RECIPE, ema=None, device="cuda")
    first = train(toy, tmp_path / "a", recipe, architecture="resnet18")
    assert train(toy, tmp_path / "b", recipe, architecture="resnet18") == first
    train(toy, tmp_path / "cpu", changed(recipe, device="cpu"), architecture="resnet18")

    def first_loss(folder):
        return float(
            (tmp_path / folder / "curves/plots/metrics/loss.tsv").read_text().splitlines()[1].split()[1]
        )

    # the first epoch, before rounding has had many steps to grow
    assert first_loss("a") == pytest.approx(first_loss("cpu"), rel=2e-2)


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

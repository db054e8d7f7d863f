"""Checkpoints as programs leave them: what is taken from each, and what is refused and why."""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import pathlib
import zipfile

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pool5.errors import UserError
from pool5.models.checkpoint_file import read_checkpoint
from pool5.models.checkpoint_network import find_network
from pool5.models.foreign_file import foreign_format
from pool5.models.network import build_network
from pool5.models.weights import checkpoint_problems, start_network
from pool5.params import Model, Preprocess

CLASSES = ("cat", "dog", "horse")
NAMES = "squeezenet1_1"  # a network of 52 arrays


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(NAMES, 3, 64)


MEANT, OTHER = network(1).state_dict(), network(2).state_dict()


def under(prefix: str, state: dict) -> dict:
    return {f"{prefix}{name}": value for name, value in state.items()}


def projection_head(prefix: str) -> dict:
    """DINO's: an MLP and a last layer with weight norm."""
    names = ("mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "last_layer.weight_g", "last_layer.weight_v")
    return {f"{prefix}{name}": torch.ones(2) for name in names}


def optimizer_of(state: dict) -> dict:
    moments = {"step": torch.tensor(7.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}
    return {"state": dict.fromkeys(range(len(state)), moments), "param_groups": [{"lr": 1e-3, "params": [0]}]}


def spec(path, architecture: str = NAMES, **options) -> Model:
    return Model(
        architecture=architecture,
        weights=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        layers={"logits": "flatten"},
        preprocess=Preprocess(resize=64, crop=64),
        **options,
    )


def started(path):
    return start_network("m", spec(path), CLASSES, path.parent)


def same(path) -> bool:
    found = started(path).network.state_dict()
    return all(torch.equal(found[name], value) for name, value in MEANT.items())


ARGS = argparse.Namespace(arch="vit_small", lr=5e-4, device=torch.device("cpu"), betas=(0.9, 0.999))
LIGHTNING = {
    "epoch": 3,
    "global_step": 120,
    "pytorch-lightning_version": "2.5.0",
    "state_dict": under("model.", MEANT) | {"criterion.weight": torch.ones(3)},
    "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
    "callbacks": {"ModelCheckpoint{'monitor': 'val'}": {"best_model_score": torch.tensor(0.5)}},
    "optimizer_states": [optimizer_of(MEANT)],
    "lr_schedulers": [{"milestones": collections.Counter({30: 1}), "last_epoch": 3}],
    "hparams_name": "kwargs",
    "hyper_parameters": {"lr": 0.1, "arch": NAMES},
}
TIMM = {
    "epoch": 9,
    "arch": NAMES,
    "state_dict": OTHER,
    "optimizer": optimizer_of(OTHER),
    "version": 2,
    "args": ARGS,
    "amp_scaler": {"scale": 65536.0, "growth_factor": 2.0},
    "state_dict_ema": MEANT,
    "metric": 71.3,
}
DINO = {
    "student": under("module.backbone.", OTHER) | projection_head("module.head."),
    "teacher": under("backbone.", MEANT) | projection_head("head."),
    "optimizer": optimizer_of(OTHER),
    "epoch": 100,
    "args": ARGS,
    "dino_loss": {"center": torch.zeros(1, 8)},
    "fp16_scaler": {"scale": 65536.0},
}
MAE = {
    "model": MEANT
    | under("decoder_blocks.0.", {"norm1.weight": torch.ones(4)})
    | {"mask_token": torch.ones(4)},
    "optimizer": optimizer_of(MEANT),
    "epoch": 399,
    "scaler": {"scale": 1.0},
    "args": ARGS,
}
MOCO = {
    "epoch": 200,
    "arch": NAMES,
    "state_dict": under("module.encoder_q.", MEANT)
    | under("module.encoder_k.", OTHER)
    | {"module.queue": torch.zeros(128, 9), "module.queue_ptr": torch.zeros(1, dtype=torch.int64)},
    "optimizer": optimizer_of(MEANT),
}
DINOV2 = {
    "teacher": under("backbone.", MEANT) | projection_head("dino_head.") | projection_head("ibot_head."),
}
IJEPA = {
    "encoder": under("module.", OTHER),
    "predictor": {"module.predictor_embed.weight": torch.ones(2, 2)},
    "target_encoder": under("module.", MEANT),
    "opt": optimizer_of(OTHER),
}
AS_WRITTEN = {
    "lightning.ckpt": (LIGHTNING, "taken what stands under model., 1 other arrays left out"),
    "timm.pth.tar": (
        TIMM,
        "taken what stands under state_dict_ema. (the average, as timm's loader does), not state_dict.",
    ),
    "deit.pth": (
        {"model": OTHER, "model_ema": MEANT, "args": ARGS},
        "taken what stands under model_ema. (the average, as timm's loader does), not model.",
    ),
    "dino.pth": (
        DINO,
        "taken what stands under teacher.backbone. (the teacher, as DINO's evaluation does), "
        "not student.module.backbone., 5 other arrays left out",
    ),
    "dinov2.pth": (DINOV2, "taken what stands under teacher.backbone., 10 other arrays left out"),
    "mae.pth": (MAE, "taken, 2 other arrays left out"),
    "moco.pth.tar": (
        MOCO,
        "taken what stands under state_dict.module.encoder_q. (the trained encoder, as MoCo's evaluation "
        "does), not state_dict.module.encoder_k., 2 other arrays left out",
    ),
    "ijepa.pth.tar": (
        IJEPA,
        "taken what stands under target_encoder.module. (the average, as I-JEPA's evaluation does), "
        "not encoder.module.",
    ),
    "averaged.pt": (
        under("module.", MEANT) | {"n_averaged": torch.tensor(5)},
        "taken what stands under module., 1 other arrays left out",
    ),
    "byname.pth": (
        {"state_dict": under("net.", OTHER) | under("ema.net.", MEANT)},
        "taken what stands under state_dict.ema.net. (the average, as timm's loader does), "
        "not state_dict.net.",
    ),
    "distilled.pth": (
        under("model.student.", OTHER) | under("model.teacher.", MEANT),
        "taken what stands under model.teacher. (the teacher, as DINO's evaluation does), not model.student.",
    ),
    "network.pth": ({"network": MEANT, "epoch": 3}, "taken what stands under network."),
    "net.pth": ({"net": under("_orig_mod.module.", MEANT)}, "taken what stands under net._orig_mod.module."),
    "nested.pth": ({"state_dict": {"model": {"backbone": MEANT}}}, "under state_dict.model.backbone."),
    "plain.pth": ({"model_state_dict": MEANT, "optimizer_state_dict": optimizer_of(MEANT), "loss": 0.3}, ""),
    "bare.pth": (MEANT, ""),
}


@pytest.mark.parametrize("name", AS_WRITTEN)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_the_network_in_a_programs_checkpoint_is_taken_and_told_in_one_line(tmp_path, caplog, name, zipped):
    content, told = AS_WRITTEN[name]
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert same(tmp_path / name)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == bool(told)
    assert not told or lines[0].endswith(told)


@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod."])
@pytest.mark.parametrize("name", ["net.safetensors", "net.pt", "pytorch_model.bin"])
def test_safetensors_is_read_with_its_metadata_whatever_it_is_called(tmp_path, prefix, name):
    metadata = {"format": "pt", "classes": json.dumps(CLASSES), "note": "by hand"}
    save_file(under(prefix, MEANT), tmp_path / name, metadata)
    assert same(tmp_path / name)
    assert not started(tmp_path / name).card.order_assumed


def test_two_networks_that_no_rule_tells_apart_are_refused(tmp_path):
    torch.save({"a": under("net.", MEANT), "b": under("net.", OTHER)}, tmp_path / "net.pth")
    told = r"model m: file net.pth, sha256 \w+ holds several networks, under a.net., b.net.; save the state"
    with pytest.raises(UserError, match=told):
        started(tmp_path / "net.pth")


def test_a_network_whose_names_end_alike_is_one_network():
    own = {name: torch.ones(1) for name in ("a.weight", "a.bias", "b.a.weight", "b.a.bias")}
    found = find_network({"": own}, own, (), dict)
    assert (set(found.state), str(found)) == (set(own), "")


def test_a_projection_in_the_heads_place_is_left_out(tmp_path, caplog):
    trunk = {name: value for name, value in MEANT.items() if not name.startswith("classifier.1.")}
    torch.save(trunk | projection_head("classifier.1."), tmp_path / "net.pth")
    start = started(tmp_path / "net.pth")
    assert start.card.missing == ("classifier.1.bias", "classifier.1.weight")
    assert caplog.messages[0].endswith("taken, 5 other arrays left out")


def test_what_changes_the_trunk_is_not_left_out(tmp_path):
    """A network of more layers has all arrays of one of fewer, and is another one."""
    torch.save({"state_dict": MEANT | {"norm_pre.weight": torch.ones(3)}}, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"another architecture: it has norm_pre.weight"):
        started(tmp_path / "net.pth")


def test_a_head_of_another_width_is_kept_as_it_is_from_such_files_too(tmp_path):
    wide = build_network(NAMES, 7, 64).state_dict()
    torch.save(TIMM | {"state_dict_ema": wide}, tmp_path / "net.pth.tar")
    start = started(tmp_path / "net.pth.tar")
    assert (start.card.outputs, start.card.classes) == (7, ())


class Config:
    """Somebody's own class."""

    def __init__(self) -> None:
        self.lr = 0.1


@pytest.mark.parametrize("value", [Config(), pathlib.PurePosixPath("out"), np.float64(0.5)])
def test_settings_that_are_classes_of_ones_own_are_refused_in_one_line(tmp_path, value):
    torch.save(LIGHTNING | {"hyper_parameters": {"config": value}}, tmp_path / "net.ckpt")
    told = r"refused, because reading it would run code \([\w.]+\); save torch.save\(model.state_dict\(\), "
    with pytest.raises(UserError, match=told) as error:
        started(tmp_path / "net.ckpt")
    assert "\n" not in str(error.value)


def test_a_namespace_brings_no_other_class_in(tmp_path):
    torch.save(DINO | {"args": argparse.Namespace(config=Config())}, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"would run code \([\w.]*Config\)"):
        started(tmp_path / "net.pth")


def _onnx(path) -> None:
    """As torch's exporter begins: ir_version 8, producer_name, producer_version, graph."""
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x84\x01" + bytes(200))


def _keras(path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            file.writestr(name, b"{}")


def _hdf5(path) -> None:
    with h5py.File(path, "w") as file:
        file["model_weights/dense/kernel"] = np.zeros(3)


def _script(path) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    torch.jit.save(torch.jit.trace(layers, torch.zeros(1, 3, 8, 8)), path)


def _exported(path) -> None:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), path)


FOREIGN = {
    "a TorchScript archive": _script,
    "a program of torch.export": _exported,
    "an ONNX file": _onnx,
    "an HDF5 file, as Keras writes": _hdf5,
    "a Keras model": _keras,
    "NumPy arrays": lambda path: np.savez(path.open("wb"), a=np.zeros(3)),
    "a NumPy array": lambda path: np.save(path.open("wb"), np.zeros(3)),
    "a TensorFlow SavedModel": lambda path: path.write_bytes(b"\x08\x01\x12\x80\x02" + bytes(99)),
    "a TensorFlow Lite model": lambda path: path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(99)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_file_of_another_format_is_told_by_its_content(tmp_path, kind, ending):
    path = tmp_path / f"net.{ending}"
    FOREIGN[kind](path)
    (problem,) = checkpoint_problems("m", spec(path), tmp_path)
    assert problem == (
        f"model m: {path}: {kind}, not a state dict; save torch.save(model.state_dict(), 'net.pth') instead, "
        "best as safetensors"
    )
    with pytest.raises(UserError, match="not a state dict"):
        started(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_network_pickled_whole_is_told(tmp_path, zipped):
    torch.save(network(), tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    told = (
        r"run code \(a network pickled whole, torchvision.models.squeezenet.SqueezeNet\); save torch.save\("
    )
    with pytest.raises(UserError, match=told):
        started(tmp_path / "net.pth")


def test_no_checkpoint_is_taken_for_another_format(tmp_path):
    for i, (content, _) in enumerate(AS_WRITTEN.values()):
        torch.save(content, tmp_path / f"{i}.pth")
        assert foreign_format(tmp_path / f"{i}.pth") is None


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [MEANT], torch.zeros(3), {"state_dict": {}}])
def test_a_file_without_a_state_dict_is_told(tmp_path, content):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"holds no state dict; save torch.save"):
        read_checkpoint(tmp_path / "net.pth", "m")


def test_problems_of_a_checkpoint_are_known_ahead(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(MEANT, path)
    assert list(checkpoint_problems("m", spec(path), tmp_path)) == []
    (problem,) = checkpoint_problems("m", spec(path, "resnet18"), tmp_path)
    assert "is of another architecture: it has features.0.weight" in problem
    (problem,) = checkpoint_problems("m", spec(path, classes=("a", "b")), tmp_path)
    assert "models.m.classes: 2 names, but file net.pth" in problem
    gone = spec(path)
    path.unlink()
    assert list(checkpoint_problems("m", gone, tmp_path)) == []

"""Where weights come from, and what is refused."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision

from pool5.errors import UserError
from pool5.models.card import read_card
from pool5.models.layers import LayerExtractor, check_layers
from pool5.models.network import build_network, load_network, num_outputs
from pool5.models.weights import start_network, store_start
from pool5.params import Model, Preprocess, Train

CLASSES = ("cat", "dog", "horse")
NOWHERE = Path("nowhere")  # no model of the test starts from another there
RECIPE = Train(epochs=1, batch_size=2, lr=0.1, seed=3)


def model(architecture: str, weights: str, train: Train | None = None, crop: int = 64, **options) -> Model:
    return Model(
        architecture=architecture,
        weights=weights,
        layers={"pool5": "flatten"},
        preprocess=Preprocess(resize=crop, crop=crop),
        train=train,
        **options,
    )


def file_model(path, architecture="resnet18", train=None, crop=64) -> Model:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return model(architecture, path.name, train, crop, sha256=sha256)


def equal_states(a: torch.nn.Module, b: torch.nn.Module) -> dict[str, bool]:
    other = b.state_dict()
    return {k: v.shape == other[k].shape and torch.equal(v, other[k]) for k, v in a.state_dict().items()}


def test_random_weights_follow_the_seed_alone():
    torch.manual_seed(11)
    first = start_network("m", model("resnet18", "random", RECIPE), CLASSES, NOWHERE)
    torch.manual_seed(12)
    second = start_network("m", model("resnet18", "random", RECIPE), CLASSES, NOWHERE)
    assert all(equal_states(first.network, second.network).values())
    other = start_network("m", model("resnet18", "random"), CLASSES, NOWHERE)
    assert not equal_states(first.network, other.network)["conv1.weight"]
    assert num_outputs(first.network) == 3
    assert first.classes == CLASSES


def test_imagenet_weights_come_whole_without_a_recipe(shared, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(shared / "weights/torch-home"))
    start = start_network("m", model("mobilenet_v2", "imagenet"), CLASSES, NOWHERE)
    assert num_outputs(start.network) == 1000
    assert start.classes[281] == "tabby"
    reference = torchvision.models.get_model("mobilenet_v2", weights="IMAGENET1K_V1")
    assert all(equal_states(start.network, reference).values())


def test_a_recipe_takes_the_trunk_and_draws_a_head(shared, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(shared / "weights/torch-home"))
    start = start_network("m", model("mobilenet_v2", "imagenet", RECIPE), CLASSES, NOWHERE)
    reference = torchvision.models.get_model("mobilenet_v2", weights="IMAGENET1K_V1")
    same = equal_states(start.network, reference)
    assert {k for k, equal in same.items() if not equal} == {"classifier.1.weight", "classifier.1.bias"}
    assert num_outputs(start.network) == 3
    assert start.missing == ()


def test_imagenet_without_a_network_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError) as told:
        start_network("m", model("resnet18", "imagenet"), CLASSES, NOWHERE)
    path = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in str(told.value)
    assert f"put it there as {path} (sha256 f37072fd)" in str(told.value)
    assert "or set TORCH_HOME to a folder with hub/checkpoints/resnet18-f37072fd.pth" in str(told.value)
    assert not path.exists()


def test_a_damaged_file_in_torchs_cache_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    path = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    torch.save(build_network("resnet18", 1000).state_dict(), path)
    with pytest.raises(UserError, match=r"model m: resnet18-f37072fd.pth: cannot fetch"):
        start_network("m", model("resnet18", "imagenet"), CLASSES, tmp_path)


@pytest.mark.parametrize(
    ("architecture", "told"), [("caffenet", "no ImageNet weights of caffenet"), ("vit_h_14", "SWAG")]
)
def test_architectures_without_imagenet_weights_are_told(architecture, told):
    with pytest.raises(UserError, match=told):
        start_network("m", model(architecture, "imagenet", crop=224), CLASSES, NOWHERE)


def test_another_model_is_taken_whole_or_its_trunk_alone(tmp_path):
    first = start_network("a", model("resnet18", "random", RECIPE), ("x", "y"), NOWHERE)
    store_start("a", model("resnet18", "random", RECIPE), first, tmp_path / "a")
    whole = start_network("b", model("resnet18", "a"), CLASSES, tmp_path)
    assert all(equal_states(whole.network, first.network).values())
    assert whole.classes == ("x", "y")
    trained = start_network("b", model("resnet18", "a", RECIPE), ("p", "q"), tmp_path)
    same = equal_states(trained.network, first.network)
    assert {k for k, equal in same.items() if not equal} <= {"fc.weight", "fc.bias"}
    assert trained.classes == ("p", "q")


def test_another_models_architecture_must_be_the_same(tmp_path):
    first = start_network("a", model("resnet18", "random"), CLASSES, NOWHERE)
    store_start("a", model("resnet18", "random"), first, tmp_path / "a")
    with pytest.raises(UserError, match=r"models.b.weights: a is a resnet18, not a alexnet"):
        start_network("b", model("alexnet", "a"), CLASSES, tmp_path)


def test_a_partial_checkpoint_says_what_is_missing(shared, tmp_path, caplog):
    name = "alexnet-features-imagenet.pth"
    (tmp_path / name).symlink_to(shared / "weights" / name)
    spec = file_model(tmp_path / name, "alexnet", crop=224)
    start = start_network("conv", spec, CLASSES, tmp_path)
    card = store_start("conv", spec, start, tmp_path / "conv")
    assert len(card.missing) == 6
    assert all(key.startswith("classifier.") for key in card.missing)
    assert "lacks 6 of the 16 weights of a alexnet (classifier.1.bias" in caplog.text
    assert read_card(tmp_path / "conv") == card
    layers = {"pool5": "features.12"}
    check_layers(card, "alexnet", layers)
    images = torch.randn(2, 3, 224, 224)
    network = load_network(tmp_path / "conv")
    pool5 = LayerExtractor(network, layers)(images)["pool5"]
    reference = torchvision.models.alexnet()
    reference.load_state_dict(torch.load(shared / "weights" / name, weights_only=True), strict=False)
    torch.testing.assert_close(pool5, reference.eval().features(images).flatten(1))
    # what would come from missing weights cannot pass for a value
    assert network(images).isnan().all()
    with pytest.raises(UserError, match="which the checkpoint does not have"):
        check_layers(card, "alexnet", {"fc7": "classifier.5"})


def test_training_from_a_partial_checkpoint_draws_the_rest(shared, tmp_path):
    name = "alexnet-features-imagenet.pth"
    (tmp_path / name).symlink_to(shared / "weights" / name)
    start = start_network("m", file_model(tmp_path / name, "alexnet", RECIPE, 224), CLASSES, tmp_path)
    assert "classifier.1.weight" in start.missing
    assert start.network.classifier[1].weight.isfinite().all()


@pytest.mark.parametrize("wrapped", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}])
def test_common_shapes_of_checkpoints_are_read(tmp_path, wrapped):
    network = build_network("resnet18", 3, 64)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save(wrapped(state), tmp_path / "net.pth")
    start = start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)
    assert all(equal_states(start.network, network).values())
    assert start.classes == CLASSES


def test_a_head_of_another_width_keeps_its_outputs_but_claims_no_names(tmp_path):
    torch.save(build_network("resnet18", 7, 64).state_dict(), tmp_path / "net.pth")
    start = start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)
    assert num_outputs(start.network) == 7
    assert start.classes == ()


class _RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, how):
    proof = tmp_path / "ran"
    content = {"conv1.weight": _RunsCode(proof)}
    if how == "torch":
        torch.save(content, tmp_path / "evil.pth")
    else:
        (tmp_path / "evil.pth").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(
        UserError, match=r"evil.pth: refused, because reading it would run code \(posix.system\)"
    ):
        start_network("m", file_model(tmp_path / "evil.pth"), CLASSES, tmp_path)
    assert not proof.exists()


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    torch.save(build_network("resnet34", 3, 64).state_dict(), tmp_path / "net.pth")
    with pytest.raises(
        UserError, match=r"model m: file net.pth.* another architecture: it has layer1.2.conv1"
    ):
        start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)
    torch.save(build_network("vgg11", 3, 64).state_dict(), tmp_path / "vgg.pth")
    with pytest.raises(UserError, match=r"model m: file vgg.pth.* features.0.weight is \(64, 3, 3, 3\)"):
        start_network("m", file_model(tmp_path / "vgg.pth", "alexnet"), CLASSES, tmp_path)


def test_a_caffenet_of_another_crop_is_told(tmp_path):
    torch.save(build_network("caffenet", 3, 96).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"fc6.0.weight is .* in a caffenet at 128 px"):
        start_network("m", file_model(tmp_path / "net.pth", "caffenet", crop=128), CLASSES, tmp_path)


def test_a_file_that_is_not_the_one_named_is_refused(tmp_path):
    torch.save({}, tmp_path / "net.pth")
    spec = model("resnet18", "net.pth", sha256="0" * 64)
    with pytest.raises(UserError, match=r"models.m.sha256: .*net.pth has [0-9a-f]{64}, not 0000"):
        start_network("m", spec, CLASSES, tmp_path)
    with pytest.raises(UserError, match=r"gone.pth: no such file; put or link"):
        start_network("m", model("resnet18", "gone.pth", sha256="0" * 64), CLASSES, tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no weights at all" * 9, "not a torch checkpoint"),
        (b"", "checkpoint"),
        (b"PK\x03\x04zip", "checkpoint"),
    ],
)
def test_damaged_files_are_told(tmp_path, content, told):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(UserError, match=told):
        start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file"):
        start_network("m", file_model(tmp_path / "net.safetensors"), CLASSES, tmp_path)


def test_a_crop_too_small_names_the_model():
    with pytest.raises(UserError, match="model tiny: architecture caffenet: cannot take images of 64 px"):
        start_network("tiny", model("caffenet", "random"), CLASSES, NOWHERE)


def test_without_classes_an_untrained_network_has_one_output_that_means_nothing():
    start = start_network("m", model("resnet18", "random"), (), NOWHERE)
    assert num_outputs(start.network) == 1
    assert start.classes == ()

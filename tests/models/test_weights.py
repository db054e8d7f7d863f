"""Where weights come from, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import random
import re
from pathlib import Path

import msgspec
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from pool5.errors import UserError
from pool5.extract.keys import feature_keys
from pool5.models.card import read_card
from pool5.models.layers import LayerExtractor, check_layers
from pool5.models.network import build_network, load_network, num_outputs
from pool5.models.sources import source_of
from pool5.models.weights import start_network, store_start
from pool5.params import Dataset, Layer, Model, Params, Preprocess, Train

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
    assert first.card.classes == CLASSES


def test_imagenet_weights_come_whole_without_a_recipe(shared, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(shared / "weights/torch-home"))
    start = start_network("m", model("mobilenet_v2", "imagenet"), CLASSES, NOWHERE)
    assert num_outputs(start.network) == 1000
    assert start.card.classes[281] == "tabby"
    reference = torchvision.models.get_model("mobilenet_v2", weights="IMAGENET1K_V1")
    assert all(equal_states(start.network, reference).values())


def test_a_recipe_takes_the_trunk_and_draws_a_head(shared, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(shared / "weights/torch-home"))
    start = start_network("m", model("mobilenet_v2", "imagenet", RECIPE), CLASSES, NOWHERE)
    reference = torchvision.models.get_model("mobilenet_v2", weights="IMAGENET1K_V1")
    same = equal_states(start.network, reference)
    assert {k for k, equal in same.items() if not equal} == {"classifier.1.weight", "classifier.1.bias"}
    assert num_outputs(start.network) == 3
    assert start.card.missing == ()


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
    ("architecture", "told"), [("caffenet", "no imagenet weights of caffenet"), ("vit_h_14", "SWAG")]
)
def test_architectures_without_imagenet_weights_are_told(architecture, told):
    with pytest.raises(UserError, match=told):
        start_network("m", model(architecture, "imagenet", crop=224), CLASSES, NOWHERE)


def test_another_model_is_taken_whole_or_its_trunk_alone(tmp_path):
    first = start_network("a", model("resnet18", "random", RECIPE), ("x", "y"), NOWHERE)
    store_start("a", first, tmp_path / "a")
    whole = start_network("b", model("resnet18", "a"), CLASSES, tmp_path)
    assert all(equal_states(whole.network, first.network).values())
    assert whole.card.classes == ("x", "y")
    trained = start_network("b", model("resnet18", "a", RECIPE), ("p", "q"), tmp_path)
    same = equal_states(trained.network, first.network)
    assert {k for k, equal in same.items() if not equal} <= {"fc.weight", "fc.bias"}
    assert trained.card.classes == ("p", "q")


def test_another_models_architecture_must_be_the_same(tmp_path):
    first = start_network("a", model("resnet18", "random"), CLASSES, NOWHERE)
    store_start("a", first, tmp_path / "a")
    with pytest.raises(UserError, match=r"models.b.weights: a is a resnet18, not a alexnet"):
        start_network("b", model("alexnet", "a"), CLASSES, tmp_path)


def test_a_partial_checkpoint_says_what_is_missing(shared, tmp_path, caplog):
    name = "alexnet-features-imagenet.pth"
    (tmp_path / name).symlink_to(shared / "weights" / name)
    spec = file_model(tmp_path / name, "alexnet", crop=224)
    start = start_network("conv", spec, CLASSES, tmp_path)
    card = store_start("conv", start, tmp_path / "conv")
    assert len(card.missing) == 6
    assert all(key.startswith("classifier.") for key in card.missing)
    assert "lacks 6 of the 16 weights of a alexnet (classifier.1.bias" in caplog.text
    assert read_card(tmp_path / "conv") == card
    layers = {"pool5": Layer(node="features.12")}
    images = torch.randn(2, 3, 224, 224)
    network = load_network(tmp_path / "conv")
    check_layers(card, "alexnet", layers, tmp_path)
    pool5 = LayerExtractor.of(network, layers.values())(images)[layers["pool5"]]
    reference = torchvision.models.alexnet()
    reference.load_state_dict(torch.load(shared / "weights" / name, weights_only=True), strict=False)
    torch.testing.assert_close(pool5, reference.eval().features(images).flatten(1))
    # what would come from missing weights cannot pass for a value
    assert network(images).isnan().all()
    with pytest.raises(UserError, match="which the checkpoint does not have"):
        check_layers(card, "alexnet", {"fc7": Layer(node="classifier.5")}, tmp_path)


def test_training_from_a_partial_checkpoint_draws_the_rest(shared, tmp_path):
    name = "alexnet-features-imagenet.pth"
    (tmp_path / name).symlink_to(shared / "weights" / name)
    start = start_network("m", file_model(tmp_path / name, "alexnet", RECIPE, 224), CLASSES, tmp_path)
    assert start.card.missing == ()
    assert start.network.classifier[1].weight.isfinite().all()


@pytest.mark.parametrize("wrapped", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}])
def test_common_shapes_of_checkpoints_are_read(tmp_path, wrapped):
    network = build_network("resnet18", 3, 64)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save(wrapped(state), tmp_path / "net.pth")
    start = start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)
    assert all(equal_states(start.network, network).values())
    assert start.card.classes == CLASSES


def test_a_head_of_another_width_keeps_its_outputs_but_claims_no_names(tmp_path):
    torch.save(build_network("resnet18", 7, 64).state_dict(), tmp_path / "net.pth")
    start = start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)
    assert num_outputs(start.network) == 7
    assert start.card.classes == ()


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
    assert start.card.classes == ()


def three_outputs(tmp_path, classes, key="classes", suffix="pth"):
    """A checkpoint whose output i answers i for any image, with class names if there are any."""
    network = build_network("squeezenet1_1", 3, 64)
    network.classifier[1].weight.data.zero_()
    network.classifier[1].bias.data = torch.tensor([1.0, 2.0, 3.0])
    path = tmp_path / f"net.{suffix}"
    if suffix == "safetensors":
        save_file(network.state_dict(), path, metadata={key: json.dumps(classes)})
    else:
        torch.save(
            {"state_dict": network.state_dict(), key: classes} if classes else network.state_dict(), path
        )
    return file_model(path, "squeezenet1_1")


IN_TEXT_ORDER = ("1", "10", "2")


@pytest.mark.parametrize(
    ("key", "classes", "suffix"),
    [
        ("classes", ["1", "2", "10"], "pth"),
        ("class_to_idx", {"1": 0, "10": 2, "2": 1}, "ckpt"),
        ("names", {0: "1", 1: "2", 2: "10"}, "pt"),
        ("classes", ["1", "2", "10"], "safetensors"),
        ("class_to_idx", {"1": 0, "10": 2, "2": 1}, "safetensors"),
    ],
)
def test_classes_in_another_order_are_brought_into_the_data_sets(tmp_path, caplog, key, classes, suffix):
    spec = three_outputs(tmp_path, classes, key, suffix)
    start = start_network("m", spec, IN_TEXT_ORDER, tmp_path)
    # the checkpoint's third output is that of class 10, which is the data set's second
    assert start.network.eval()(torch.zeros(1, 3, 64, 64)).tolist() == [[1.0, 3.0, 2.0]]
    assert start.card.classes == IN_TEXT_ORDER
    assert not start.card.order_assumed
    assert (
        "the classes in another order; outputs put in the data set's order" in start.card.origin + caplog.text
    )
    assert len(caplog.records) == 1


def test_without_class_names_the_order_is_assumed_and_told(tmp_path, caplog):
    spec = three_outputs(tmp_path, None)
    card = store_start("m", start_network("m", spec, IN_TEXT_ORDER, tmp_path), tmp_path / "m")
    assert card.order_assumed
    assert card.classes == IN_TEXT_ORDER
    assert "order assumed" in caplog.text
    # a model that takes those weights as they are knows no more
    again = start_network("n", model("squeezenet1_1", "m"), IN_TEXT_ORDER, tmp_path)
    assert again.card.order_assumed
    # one that learns gets a head of its own
    assert not start_network(
        "n", model("squeezenet1_1", "m", RECIPE), IN_TEXT_ORDER, tmp_path
    ).card.order_assumed


def given(spec: Model, *classes: str) -> Model:
    return msgspec.structs.replace(spec, classes=classes)


def test_classes_given_beside_a_file_are_the_order_of_its_outputs(tmp_path, caplog):
    spec = given(three_outputs(tmp_path, None), "1", "2", "10")
    start = start_network("m", spec, IN_TEXT_ORDER, tmp_path)
    assert start.network.eval()(torch.zeros(1, 3, 64, 64)).tolist() == [[1.0, 3.0, 2.0]]
    assert (start.card.classes, start.card.order_assumed) == (IN_TEXT_ORDER, False)
    store_start("m", start, tmp_path / "m")
    assert "order assumed" not in caplog.text
    # a model that takes those weights knows the order too, and so does a recipe that keeps the head
    again = start_network("n", model("squeezenet1_1", "m"), IN_TEXT_ORDER, tmp_path)
    assert (again.card.classes, again.card.order_assumed) == (IN_TEXT_ORDER, False)
    kept = start_network("m", msgspec.structs.replace(spec, train=RECIPE), IN_TEXT_ORDER, tmp_path)
    assert kept.network.classifier[1].bias.tolist() == [1.0, 3.0, 2.0]


@pytest.mark.parametrize("classes", [IN_TEXT_ORDER[:2], (*IN_TEXT_ORDER, "11"), ("x", "y", "z")])
def test_given_classes_that_are_not_the_data_sets_stay_as_they_are(tmp_path, classes):
    start = start_network("m", given(three_outputs(tmp_path, None), "1", "2", "10"), classes, tmp_path)
    assert start.network.eval()(torch.zeros(1, 3, 64, 64)).tolist() == [[1.0, 2.0, 3.0]]
    assert (start.card.classes, start.card.order_assumed) == (("1", "2", "10"), False)


def test_given_classes_name_each_output_and_contradict_no_file(tmp_path):
    with pytest.raises(UserError, match=r"models.m.classes: 2 names, but file net.pth.* has 3 outputs; name"):
        start_network("m", given(three_outputs(tmp_path, None), "1", "2"), IN_TEXT_ORDER, tmp_path)
    named = three_outputs(tmp_path, ["1", "2", "10"])
    told = r"models.m.classes: file net.pth.* otherwise: output 1 is 2, not 10; leave classes out"
    with pytest.raises(UserError, match=told):
        start_network("m", given(named, "1", "10", "2"), IN_TEXT_ORDER, tmp_path)
    start_network("m", given(named, "1", "2", "10"), IN_TEXT_ORDER, tmp_path)
    trunk = build_network("resnet18", 3, 64).state_dict()
    torch.save({k: v for k, v in trunk.items() if not k.startswith("fc.")}, tmp_path / "trunk.pth")
    with pytest.raises(UserError, match=r"models.m.classes: 3 names, but file trunk.pth.* has no outputs"):
        start_network("m", given(file_model(tmp_path / "trunk.pth"), *CLASSES), CLASSES, tmp_path)


def test_other_classes_of_the_same_number_keep_their_names(tmp_path):
    spec = three_outputs(tmp_path, ["x", "y", "z"])
    start = start_network("m", spec, IN_TEXT_ORDER, tmp_path)
    assert start.card.classes == ("x", "y", "z")
    assert not start.card.order_assumed


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "_orig_mod.module.", "net.backbone."])
@pytest.mark.parametrize("ending", ["ckpt", "pth.tar"])
def test_a_network_under_a_prefix_is_found(tmp_path, caplog, prefix, ending):
    network = build_network("resnet18", 3, 64)
    state = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state | {"criterion.weight": torch.ones(3)}}, tmp_path / f"net.{ending}")
    start = start_network("m", file_model(tmp_path / f"net.{ending}"), CLASSES, tmp_path)
    assert all(equal_states(start.network, network).values())
    assert f"taken what stands under {prefix}, 1 other arrays left out" in caplog.text
    assert start.card.origin.endswith(f"under {prefix}")


def test_names_of_torchvisions_early_days_are_found_under_a_prefix(tmp_path):
    network = build_network("densenet121", 3, 64)
    old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))([12])\.")
    state = {"module.net." + old.sub(r"\1.\2.", key): v for key, v in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "net.pth.tar")
    start = start_network("m", file_model(tmp_path / "net.pth.tar", "densenet121"), CLASSES, tmp_path)
    assert all(equal_states(start.network, network).values())


def test_no_order_is_told_of_outputs_that_are_not_taken(tmp_path, caplog):
    network = build_network("squeezenet1_1", 4, 64)
    spec = model("squeezenet1_1", "a")
    torch.save({"state_dict": network.state_dict(), "classes": ["2", "10", "1"]}, tmp_path / "net.pth")
    start = start_network("a", file_model(tmp_path / "net.pth", "squeezenet1_1"), IN_TEXT_ORDER, tmp_path)
    assert start.card.classes == ()  # four outputs, three names
    drawn = start_network("a", model("squeezenet1_1", "random"), ("2", "10", "1"), tmp_path)
    store_start("a", drawn, tmp_path / "a")
    start = start_network("b", msgspec.structs.replace(spec, train=RECIPE), IN_TEXT_ORDER, tmp_path)
    assert start.card.origin == "model a"  # whose head a recipe draws afresh
    assert not caplog.records


def test_a_checkpoint_that_holds_itself_holds_no_state_dict(tmp_path):
    endless = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "net.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)


def test_several_networks_in_one_checkpoint_are_refused(tmp_path):
    network = build_network("resnet18", 3, 64).state_dict()
    state = {f"{who}.{key}": value for who in ("left", "right") for key, value in network.items()}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"several networks, under left., right.; save"):
        start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)


@pytest.mark.parametrize("architecture", ["inception_v3", "googlenet"])
def test_ones_own_inception_computes_what_it_computed(tmp_path, architecture):
    torch.manual_seed(0)
    options = {"aux_logits": True, "init_weights": False, "transform_input": False}
    own = torchvision.models.get_model(architecture, weights=None, num_classes=3, **options).eval()
    torch.save(own.state_dict(), tmp_path / "net.pth")
    spec = file_model(tmp_path / "net.pth", architecture, crop=96)
    card = store_start("m", start_network("m", spec, CLASSES, tmp_path), tmp_path / "m")
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(load_network(tmp_path / "m")(images), own(images), rtol=1e-4, atol=1e-5)
    assert card.options == {"transform_input": False}


@pytest.mark.parametrize("architecture", ["inception_v3", "googlenet"])
def test_transform_input_of_ones_own_checkpoint_is_a_parameter(tmp_path, architecture):
    torch.manual_seed(0)
    own = torchvision.models.get_model(architecture, weights=None, num_classes=3, init_weights=False)
    torch.save(own.state_dict(), tmp_path / "net.pth")
    plain = msgspec.structs.replace(
        file_model(tmp_path / "net.pth", architecture, crop=96), layers={"logits": "fc"}
    )
    params = Params(
        dataset=Dataset(name="d", kind="folder", root=".", train="a", test="b"), models={"m": plain}
    )
    images = torch.randn(2, 3, 96, 96)
    digests, values = {}, {}
    for wanted in (None, False, True):
        arguments = {} if wanted is None else {"transform_input": wanted}
        start = start_network("m", msgspec.structs.replace(plain, arguments=arguments), CLASSES, tmp_path)
        card = store_start("m", start, tmp_path / "m")
        assert card.options == {"transform_input": bool(wanted)}
        digests[wanted] = feature_keys(params, "m", tmp_path)["logits"].digest
        values[wanted] = load_network(tmp_path / "m")(images)
    assert digests[None] == digests[False] != digests[True]
    assert torch.equal(values[None], values[False])
    assert not torch.equal(values[None], values[True])


def test_torchvisions_own_inception_is_known_by_its_hash():
    source = source_of("inception_v3")
    assert source.options("inception_v3", "0cc3c7bd" + "0" * 56) == {"transform_input": True}
    assert source.options("inception_v3", "1" * 64) == source.options("inception_v3")
    assert source.options("inception_v3") == {"transform_input": False}
    assert source.options("resnet18") == {}
    built = [source.build("googlenet", 3, 96, transform_input=wanted) for wanted in (True, False)]
    assert [network.transform_input for network in built] == [True, False]


def test_what_inception_is_built_with_is_part_of_the_feature_key(tmp_path):
    spec = model("googlenet", "random", crop=96)
    params = Params(
        dataset=Dataset(name="d", kind="folder", root=".", train="a", test="b"), models={"m": spec}
    )
    start = start_network("m", spec, CLASSES, tmp_path)
    keys = []
    for options in ({"transform_input": True}, {"transform_input": False}):
        store_start(
            "m",
            dataclasses.replace(start, card=dataclasses.replace(start.card, options=options)),
            tmp_path / "m",
        )
        keys.append(feature_keys(params, "m", tmp_path)["pool5"])
    assert keys[0].weights_sha256 == keys[1].weights_sha256
    assert keys[0].digest != keys[1].digest


def test_a_preprocessing_that_is_not_the_weights_own_is_told_once(shared, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TORCH_HOME", str(shared / "weights/torch-home"))
    own = model("mobilenet_v2", "imagenet", crop=224)
    own = msgspec.structs.replace(own, preprocess=Preprocess(resize=256, crop=224))
    card = store_start("m", start_network("m", own, CLASSES, tmp_path), tmp_path / "m")
    assert not caplog.records
    assert card.trained_with.items() <= card.preprocess.items()
    other = msgspec.structs.replace(own, preprocess=Preprocess(resize=256, crop=224, mean=(0.5, 0.5, 0.5)))
    card = store_start("m", start_network("m", other, CLASSES, tmp_path), tmp_path / "m")
    (record,) = caplog.records
    assert "trained with mean [0.485, 0.456, 0.406]; models.m.preprocess has mean [0.5, 0.5, 0.5]" in (
        record.getMessage()
    )
    assert card.preprocess["mean"] == [0.5, 0.5, 0.5]
    assert card.trained_with["mean"] == [0.485, 0.456, 0.406]
    # and by the model that takes these weights from it
    start_network("n", msgspec.structs.replace(other, weights="m"), CLASSES, tmp_path)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("architecture", "own"),
    [
        ("efficientnet_b1", (256, 240, "bicubic")),
        ("swin_t", (232, 224, "bicubic")),
        ("inception_v3", (342, 299, "bilinear")),
        ("resnet18", (256, 224, "bilinear")),
    ],
)
def test_what_published_weights_were_trained_with_is_torchvisions(architecture, own):
    found = source_of(architecture).preprocessing(architecture, "imagenet")
    assert (found["resize"], found["crop"], found["interpolation"]) == own
    assert set(found) == set(Preprocess.__struct_fields__) - {"mode", "fill"}  # which torchvision has not


def test_every_mutated_checkpoint_is_one_line_or_read(tmp_path):
    rng = random.Random(5)
    torch.save({"state_dict": build_network("squeezenet1_1", 3, 64).state_dict()}, tmp_path / "net.pth")
    save_file(build_network("squeezenet1_1", 3, 64).state_dict(), tmp_path / "net.safetensors")
    told = []
    for name in 20 * ("net.pth", "net.safetensors"):
        whole = (tmp_path / name).read_bytes()
        changed = bytearray(whole)
        ends = (0, 20_000) if name.endswith("safetensors") else (len(whole) - 12_000, len(whole))
        for _ in range(rng.choice([1, 3, 9])):
            changed[rng.randrange(*ends)] = rng.randrange(256)
        (tmp_path / f"mutated-{name}").write_bytes(changed)
        try:
            start_network("m", file_model(tmp_path / f"mutated-{name}", "squeezenet1_1"), CLASSES, tmp_path)
        except UserError as error:
            told.append(str(error))
    assert len(told) > 20
    assert not [line for line in told if "\n" in line]


@pytest.mark.parametrize("odd", [torch.tensor(1.0), torch.zeros(3, dtype=torch.complex64), torch.zeros(9, 1)])
def test_an_odd_head_is_told(tmp_path, odd):
    state = build_network("resnet18", 3, 64).state_dict() | {"fc.weight": odd}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"net.pth.*(another architecture: fc.weight|holds no state dict)"):
        start_network("m", file_model(tmp_path / "net.pth"), CLASSES, tmp_path)


def test_a_card_says_nothing_of_the_device(tmp_path):
    cards = []
    for device in ("auto", "cpu"):
        spec = model("squeezenet1_1", "random", msgspec.structs.replace(RECIPE, device=device))
        cards.append(start_network("m", spec, CLASSES, tmp_path).card)
    assert cards[0] == cards[1]
    assert cards[0].recipe["epochs"] == 1


def test_a_card_of_the_first_version_is_read(tmp_path):
    """A googlenet of then was built with transform_input, and its card does not say so."""
    card = {"architecture": "googlenet", "outputs": 3, "crop": 96, "classes": [], "weights_sha256": "0" * 64}
    card |= {"origin": "drawn", "missing": [], "recipe": {"epochs": 1, "device": "auto"}}
    (tmp_path / "model.json").write_text(json.dumps(card))
    found = read_card(tmp_path)
    assert (found.options, found.trained_with, found.order_assumed) == ({}, None, False)
    assert source_of("googlenet").build("googlenet", 3, 96, **found.options).transform_input


@pytest.mark.parametrize("card", [b"[]", b"{}", b"\xff", b'{"architecture": 1}', b"null"])
def test_what_is_no_card_is_told(tmp_path, card):
    (tmp_path / "model.json").write_bytes(card)
    with pytest.raises(UserError, match="not a model card"):
        read_card(tmp_path)

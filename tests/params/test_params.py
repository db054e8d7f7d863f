from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from pool5.errors import UserError
from pool5.params import Params, load_params, problems_of

ROOT = Path(__file__).parents[2]
PRESETS = sorted(p for p in (ROOT / "presets").glob("*.yaml") if p.stem not in ("graph", "recipes"))


@pytest.fixture
def edited(tmp_path):
    """Load the default params.yaml with some dotted keys set (or removed, with `...`)."""

    def load(**changes):
        raw = yaml.safe_load((ROOT / "params.yaml").read_text())
        for dotted, value in changes.items():
            *parents, last = dotted.split(".") if "." in dotted else dotted.split("__")
            section = raw
            for parent in parents:
                section = section[parent]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw))
        return load_params(path)

    return load


def error_of(edited, **changes) -> str:
    with pytest.raises(UserError) as caught:
        edited(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", [ROOT / "params.yaml", *PRESETS], ids=lambda p: p.stem)
def test_every_file_of_parameters_is_sound_and_has_no_anchors(file):
    load_params(file)
    anchors = [e for e in yaml.parse(file.read_text()) if getattr(e, "anchor", None)]
    assert not anchors  # DVC makes one object of what shares an anchor


@pytest.mark.parametrize(
    "text", ["a: &one {b: 1}\nc: *one\n", "a: &one {b: 1}\nc: {<<: *one, d: 2}\n", "a: [&x 1, *x]\n"]
)
def test_an_alias_is_refused_and_named(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(
        UserError, match=r"line \d: \*\w+ is an alias, and `dvc exp run -S`.* write the values"
    ):
        load_params(tmp_path / "params.yaml")


def test_a_star_in_a_name_is_no_alias(edited):
    assert edited(dataset__root="images/a*b").dataset.root == "images/a*b"


def test_the_default_params_are_the_sample_preset():
    assert load_params(ROOT / "params.yaml") == load_params(ROOT / "presets/sample.yaml")


def test_params_are_immutable(edited):
    with pytest.raises(AttributeError):
        edited().tsne.perplexity = 5


def test_an_unknown_key_is_named_with_the_one_that_was_meant(edited):
    message = error_of(edited, tsne__perplexty=30)
    assert "tsne.perplexty: unknown key (did you mean perplexity?)" in message
    assert "allowed: of, sample, perplexity" in message


def test_an_unknown_key_deep_inside_a_model_is_named(edited):
    message = error_of(edited, **{"models.caffenet.train.learning_rate": 0.1})
    assert "models.caffenet.train.learning_rate: unknown key" in message


def test_a_wrong_type_is_named_with_what_is_expected(edited):
    assert "neighbors.k: expected `int`, got `str`" in error_of(edited, neighbors__k="four")


def test_a_value_that_is_none_of_the_choices_lists_them(edited):
    assert "index.metric: 'cosin' is not allowed; allowed: cosine, l2, ip" in error_of(
        edited, index__metric="cosin"
    )


def test_a_missing_key_is_named(edited):
    assert "dataset.root: this key is required" in error_of(edited, dataset__root=...)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("index.of", ["caffenet/pool6"], "index.of: no such layer: caffenet/pool6; allowed: caffenet/"),
        ("tsne.of", ["alexnet/fc7"], "tsne.of: no such layer: alexnet/fc7"),
        ("ap.of", ["vgg"], "ap.of: no such probe, and no such model with a layer named logits: vgg"),
        ("duplicates.of", "caffenet/pool6", "duplicates.of: no such layer"),
        ("probe.resnet18-frozen.of", "resnet18/fc7", "probe.resnet18-frozen.of: no such layer"),
        (
            "models.caffenet.weights",
            "resnet19",
            "models.caffenet.weights: no such origin: resnet19; allowed: random, imagenet",
        ),
        ("models.caffenet.weights", "caffenet.pth", "models.caffenet.sha256: required beside a checkpoint"),
        ("models.caffenet.weights", "/etc/x.pth", "put or link the checkpoint into data/models"),
        ("dataset.files", "list.csv", "dataset.files: read by kind table, coco, webdataset, and not by voc"),
        (
            "dataset.columns",
            {"labels": "label"},
            "dataset.columns: read by kind table, webdataset, and not",
        ),
        ("models.caffenet.weights", "net.onnx", "net.onnx: no state dict of torch; save torch.save(model."),
        ("models.caffenet.classes", ["a", "b", "a"], "models.caffenet.classes: a stands there twice"),
        (
            "models.caffenet.classes",
            ["a", "b"],
            "models.caffenet.classes: the outputs of random have the names",
        ),
        ("models.resnet18-source.weights", "resnet18-finetuned", "start from each other"),
        (
            "models.caffenet.preprocess.crop",
            500,
            "models.caffenet.preprocess.crop: 500 is larger than resize",
        ),
    ],
)
def test_a_dangling_reference_is_one_line_that_names_the_key(edited, key, value, named):
    assert named in error_of(edited, **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("mode", "letterbox", "preprocess.mode: 'letterbox' is not allowed; allowed: crop, squash, pad"),
        ("interpolation", "nearest", "'nearest' is not allowed; allowed: bilinear, bicubic, lanczos"),
        ("fill", [0, 0, 256], "preprocess.fill[2]: expected `int` <= 255"),
        ("color", [0, 0, 0], "preprocess.color: unknown key; allowed: resize, crop, interpolation"),
    ],
)
def test_a_preprocessing_that_there_is_not_is_told_with_what_there_is(edited, key, value, named):
    given = {"resize": 64, "crop": 64, key: value}
    assert named in error_of(edited, models__caffenet__preprocess=given)


def test_an_unknown_key_of_a_layer_is_told(edited):
    message = error_of(edited, models__caffenet__layers={"fc7": {"nod": "fc7"}})
    assert "nod: unknown key (did you mean node?); allowed: node, pool" in message


def test_a_crop_larger_than_the_image_is_for_padding_alone(edited):
    given = {"resize": 48, "crop": 64}
    for mode in ("crop", "squash"):
        message = error_of(edited, models__caffenet__preprocess=given | {"mode": mode})
        assert "models.caffenet.preprocess.crop: 64 is larger than resize; allowed: 1 to 48" in message
    padded = edited(models__caffenet__preprocess=given | {"mode": "pad"})
    assert padded.models["caffenet"].transform.mode == "pad"


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("dataset.name", "..", "dataset.name: expected letters, digits, '_', '-' and '.'"),
        ("extract.device", "gpu", "extract.device: expected auto, cpu, cuda, or one GPU such as cuda:0"),
        (
            "extract.device",
            "cuda:0, cuda:1",
            "extract.device: expected auto, cpu, cuda, or one GPU such as cuda:0",
        ),
        ("extract.device", 0, "extract.device: expected `str | array`, got `int`"),
        ("extract.device", [], "extract.device: expected `array` of length >= 1"),
        (
            "extract.device",
            ["cuda:0", "auto"],
            "extract.device[1]: expected each device by itself, cpu or a GPU such as cuda:0",
        ),
        (
            "extract.device",
            ["cuda"],
            "extract.device[0]: expected each device by itself, cpu or a GPU such as cuda:0",
        ),
        ("extract.device", ["cpu", 1], "extract.device[1]: expected `str`, got `int`"),
        ("dataset.test", "../x", "dataset.test: expected letters, digits, '_', '-' and '.'"),
        ("dataset.test", "trainval", "dataset.test: trainval is trained on as well"),
        ("dataset.test", "objects", "dataset.test: objects is not free"),
        ("models.caffenet.layers", {"..": "pool5"}, "models.caffenet.layers...: not a name for a layer"),
        ("models.caffenet.train.lr", float("inf"), "models.caffenet.train.lr: expected `float` <="),
        ("models.caffenet.train.lr", float("nan"), "models.caffenet.train.lr: expected `float` >"),
        ("models.caffenet.train.lr", "1e-3", "got `str`; write 0.001 or 1.0e-3"),
        ("index.of", ["pool5"], "index.of[0]: expected a layer as model/layer, such as caffenet/pool5"),
        ("models.caffenet.sha256", "abc", "models.caffenet.sha256: expected 64 hexadecimal digits in lower"),
        ("extract.device", "cuda\n", "extract.device: expected auto, cpu"),
        ("dataset.name", "sample\n", "dataset.name: expected letters, digits, '_', '-' and '.'"),
        (
            "probe",
            {"a.b": {"of": "caffenet/fc7"}},
            "probe.a.b: not a name for a probe; allowed: letters, digits, '_' and",
        ),
        ("models.caffenet.train.split", "test", "train.split: test is what the models are measured on"),
        ("models.caffenet.train.head_epochs", 13, "head_epochs: 13, but there are 12 epochs"),
        ("models.caffenet.train.augment", {"scale": [1.0, 0.5]}, "augment.scale: 1 to 0.5: give the smaller"),
        ("neighbors.k", 101, "neighbors.k: 101 is more than neighbors.depth keeps; allowed: 1 to 100"),
        ("probe.resnet18-frozen.folds", 100_000, "probe.resnet18-frozen.folds: expected `int` <= 100"),
        ("ap.protocols", ["foo"], "'foo' is not allowed; allowed: voc2007, area, sklearn"),
    ],
)
def test_a_value_that_makes_no_sense_is_one_line_that_names_the_key(edited, key, value, named):
    assert named in error_of(edited, **{key: value})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"tsne: {of: [a/b]}\nap: {}\ntsne: {}\n", "line 3, column 1 is not YAML: the key tsne stands twice"),
        (b"dataset: {name: 2020-99-99}\n", "not YAML: month must be in 1..12"),
        ("dataset: {name: Bärte}\n".encode("latin-1"), "not a text file in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, text, told):
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_yaml_names_the_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("dataset:\n  name: [sample\n")
    with pytest.raises(UserError, match=r"line \d+, column \d+ is not YAML"):
        load_params(path)


def test_a_missing_file_says_where_to_get_one(tmp_path):
    with pytest.raises(UserError, match="copy one from presets/"):
        load_params(tmp_path / "params.yaml")


def test_params_survive_a_round_trip_through_plain_data():
    params = load_params(ROOT / "params.yaml")
    assert msgspec.convert(msgspec.to_builtins(params), type(params)) == params


@pytest.mark.parametrize("name", ["a.b", "it's", "x;touch pwn;", "../x", "$(id)", "a@b", "random", ""])
def test_a_models_name_is_one_that_dvc_and_a_shell_can_hold(edited, name):
    models, again = (yaml.safe_load((ROOT / "params.yaml").read_text())["models"] for _ in range(2))
    told = error_of(edited, models=models | {name: again["caffenet"]})
    assert f"models.{name}: not a name for a model; allowed: letters, digits, '_' and '-'" in told


def test_a_held_out_split_is_not_the_one_that_is_trained_on(edited):
    train = {"hold_out": True, "epochs": 1, "batch_size": 2, "lr": 0.1}
    message = error_of(edited, **{"dataset.val": "trainval", "models.caffenet.train": train})
    assert (
        "models.caffenet.train.hold_out: dataset.val is trainval, so nothing is left to train on" in message
    )


def test_all_problems_are_found_at_once(edited):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["tsne"]["of"], raw["ap"]["of"] = ["caffenet/fc9"], ["nobody"]
    keys = [problem.partition(":")[0] for problem in problems_of(msgspec.convert(raw, Params))]
    assert keys == ["tsne.of", "ap.of"]


@pytest.mark.parametrize("weights", ["imagenet", "pretrained"])
def test_weights_that_nobody_publishes_are_refused(edited, weights):
    message = error_of(edited, **{"models.caffenet.weights": weights})
    assert (
        f"models.caffenet.weights: {weights}: nobody publishes weights of caffenet; allowed: random"
        in message
    )

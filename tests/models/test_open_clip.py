"""open_clip's networks: the same as its own factory makes, from the same file."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from source_tests import SourceTests

from pool5.errors import UserError
from pool5.files.digests import sha256_of_file
from pool5.models.layers import LayerExtractor
from pool5.models.network import options_of
from pool5.models.node_values import find_nodes
from pool5.models.preprocessing import settled
from pool5.models.sources import source_of
from pool5.models.sources.open_clip import OpenClipSource
from pool5.models.text import load_text_tower, text_key
from pool5.models.weights import start_network, store_start
from pool5.params import Layer, Model
from tests.models.small_clip import (
    COCA,
    CONFIG,
    SIGLIP,
    by_open_clip,
    put_config,
    put_into_hub,
    put_tokenizer,
)

TEXTS = ["a dog on a sofa", "a photo of a diningtable.", "Zwei Hunde, größer als 3 Katzen"]
IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class TestOpenClipSource(SourceTests):
    kind = OpenClipSource
    small = ("open_clip/small.json", 32)
    mistyped = ("open_clip/ViT-B-33", "did you mean open_clip/ViT-B-32")
    without_weights = "open_clip/ViT-B-32"

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        put_config(tmp_path)
        return tmp_path


def store(root: Path, config: dict, weights: str = "random", **fields: object) -> Path:
    """A model's folder in a project whose configuration is small.json."""
    spec = Model(architecture=put_config(root, config), weights=weights, layers={"image": "image"}, **fields)
    spec = settled("clip", {"clip": spec}, root)
    store_start("clip", start_network("clip", spec, ("cat",), root, root), root / "clip")
    return root / "clip"


@pytest.mark.parametrize("config", [CONFIG, SIGLIP, COCA, CONFIG | {"quick_gelu": True}])
def test_images_and_texts_have_the_vectors_of_open_clips_own_factory(tmp_path, monkeypatch, config):
    folder = store(tmp_path, config)
    theirs = by_open_clip(monkeypatch, copy.deepcopy(config), folder / "weights.safetensors")
    ours = load_text_tower(folder, tmp_path).network
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    tokens = open_clip.SimpleTokenizer(context_length=16)(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(ours(IMAGES), theirs.encode_image(IMAGES, normalize=False))
        wanted = theirs.encode_text(tokens, normalize=False)
    np.testing.assert_allclose(load_text_tower(folder, tmp_path).embed(TEXTS), wanted, atol=1e-5)


def test_a_text_has_the_same_bits_whatever_is_beside_it(tmp_path):
    folder = store(tmp_path, CONFIG)
    tower = load_text_tower(folder, tmp_path)
    together = tower.embed(TEXTS * 3)
    for row, text in enumerate(TEXTS * 3):
        np.testing.assert_array_equal(tower.embed([text])[0], together[row])


def test_a_text_that_is_too_long_is_told(tmp_path, caplog):
    tower = load_text_tower(store(tmp_path, CONFIG), tmp_path)
    tower.embed(["dog " * 14])
    assert not caplog.records
    tower.embed(["a cat", "dog " * 15])
    assert [r.getMessage()[:24] for r in caplog.records] == ["the model reads 16 token"]


@pytest.mark.parametrize("config", [CONFIG, COCA])
def test_the_node_image_is_the_value_of_encode_image(tmp_path, config):
    source = OpenClipSource(tmp_path)
    network = source.build(put_config(tmp_path, config), 1, 32).eval()
    assert find_nodes(network, 32).rows[-1] == "image"
    with torch.inference_mode():
        found = LayerExtractor.of(network, [Layer(node="image")])(IMAGES)[Layer(node="image")]
        hooked: list[torch.Tensor] = []
        network.get_submodule("image").register_forward_hook(lambda _, __, value: hooked.append(value))
        torch.testing.assert_close(found, network.encode_image(IMAGES, normalize=False))
        network(IMAGES)
    torch.testing.assert_close(hooked[0], found)


def test_inner_nodes_of_the_image_tower_have_names(tmp_path):
    network = OpenClipSource(tmp_path).build(put_config(tmp_path), 1, 32).eval()
    with torch.inference_mode():
        block = Layer(node="visual.transformer.resblocks.0")
        found = LayerExtractor.of(network, [block])(IMAGES)[block]
        wanted = network.forward_intermediates(IMAGES, image_indices=[0], image_output_fmt="NLC")
    torch.testing.assert_close(found.unflatten(1, (5, 64))[:, 1:], wanted["image_intermediates"][0])


@pytest.mark.parametrize(
    "name", ["ViT-B-32", "ViT-B-32-quickgelu", "coca_ViT-B-32", "ViT-B-16-SigLIP2", "RN50"]
)
def test_a_network_of_open_clips_list_is_the_one_that_its_factory_builds(name):
    size = open_clip.get_model_config(name)["vision_cfg"]["image_size"]
    with torch.device("meta"):
        ours = OpenClipSource().build(f"open_clip/{name}", 1, size)
        theirs = open_clip.create_model(name, device="meta")
    bare = (
        repr(ours)
        .replace("CalledWithImages", type(theirs).__name__, 1)
        .replace("  (image): Identity()\n", "")
    )
    assert bare == repr(theirs)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]


def test_every_tag_has_a_file_of_the_hub_and_the_activation_of_its_network():
    known = OpenClipSource().architectures()
    for name, tag in open_clip.list_pretrained():
        published = open_clip.get_pretrained_cfg(name, tag)
        assert published["hf_hub"]
        quick = open_clip.get_model_config(name).get("quick_gelu", False)
        assert (f"open_clip/{name}.{tag}" in known) is (quick or not published.get("quick_gelu", False))


def test_weights_of_another_activation_are_refused_and_the_right_name_is_known():
    with pytest.raises(UserError, match=r"QuickGELU.* write open_clip/ViT-B-32-quickgelu\.openai$"):
        source_of("open_clip/ViT-B-32.openai")
    assert isinstance(source_of("open_clip/ViT-B-32-quickgelu.openai"), OpenClipSource)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not a configuration"),
        ("[1]", "not a configuration"),
        ('{"embed_dim": 8}', "has no text_cfg, vision_cfg"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, told):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(UserError, match=told):
        source_of("open_clip/c.json", tmp_path)


@pytest.mark.parametrize("file", ["../c.json", "/etc/c.json", "missing.json"])
def test_a_file_that_is_not_in_the_project_is_refused(tmp_path, file):
    with pytest.raises(UserError, match=r"from the project's folder|cannot be read"):
        source_of(f"open_clip/{file}", tmp_path)


def test_a_configuration_that_has_changed_since_is_refused(tmp_path):
    architecture = put_config(tmp_path)
    options = options_of(architecture, {}, tmp_path)
    put_config(tmp_path, SIGLIP)
    with pytest.raises(UserError, match=r"small\.json has changed"):
        OpenClipSource(tmp_path).build(architecture, 1, 32, **options)


@pytest.mark.parametrize(
    ("architecture", "mode", "mean", "size"),
    [
        ("open_clip/ViT-B-32.laion2b_s34b_b79k", "crop", 0.48145466, 224),
        ("open_clip/ViT-B-16-SigLIP2-384.webli", "squash", 0.5, 384),
        ("open_clip/small.json", "crop", 0.48145466, 32),
    ],
)
def test_preprocessing_is_that_of_the_tag(tmp_path, architecture, mode, mean, size):
    put_config(tmp_path)
    found = OpenClipSource(tmp_path).preprocessing(architecture, "pretrained")
    assert (found["mode"], found["mean"][0], found["resize"], found["crop"]) == (mode, mean, size, size)
    assert found["interpolation"] == "bicubic"


def test_a_longest_side_is_padded_as_the_files_own_preprocessing_says(tmp_path):
    put_config(tmp_path, {"model_cfg": CONFIG, "preprocess_cfg": {"resize_mode": "longest", "fill_color": 7}})
    found = OpenClipSource(tmp_path).preprocessing("open_clip/small.json", "pretrained")
    assert (found["mode"], found["fill"]) == ("pad", [7, 7, 7])


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_published_weights_come_from_the_hubs_cache_with_their_hash(tmp_path, monkeypatch, name):
    # a network of open_clip's list, made small
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", CONFIG)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    architecture = "open_clip/ViT-B-32.laion2b_s34b_b79k"
    torch.manual_seed(3)
    state = OpenClipSource().build(architecture, 1, 32).state_dict()
    path = put_into_hub(tmp_path / "hub", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", name, state)
    spec = Model(architecture=architecture, weights="pretrained", layers={"image": "image"})
    start = start_network("clip", settled("clip", {"clip": spec}), (), tmp_path)
    card = store_start("clip", start, tmp_path / "clip")
    assert "tag laion2b_s34b_b79k, huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in card.origin
    assert "at revision abc123, sha256 " in card.origin
    theirs = by_open_clip(monkeypatch, copy.deepcopy(CONFIG), path)
    ours = load_text_tower(tmp_path / "clip").network
    tokens = open_clip.SimpleTokenizer(context_length=16)(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(ours(IMAGES), theirs.encode_image(IMAGES))
        torch.testing.assert_close(ours.encode_text(tokens), theirs.encode_text(tokens))


def test_without_a_network_one_line_says_where_the_weights_belong(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"open_clip_model\.safetensors") as refusal:
        OpenClipSource().weights("open_clip/ViT-B-16-SigLIP2.webli", "pretrained")
    assert f"{tmp_path}/models--timm--ViT-B-16-SigLIP2/snapshots/main" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_another_size_of_images_resizes_position_embeddings_as_open_clip_does(tmp_path, monkeypatch):
    source, architecture = OpenClipSource(tmp_path), put_config(tmp_path)
    state = source.build(architecture, 1, 32).state_dict()
    torch.save(state, tmp_path / "w.pt")
    network = source.build(architecture, 1, 64).eval()
    network.load_state_dict(source.own_names(architecture, state, network))
    theirs = by_open_clip(monkeypatch, copy.deepcopy(CONFIG), tmp_path / "w.pt", force_image_size=64)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), theirs.encode_image(images))


def test_so_does_an_image_tower_of_timm(tmp_path, monkeypatch):
    config = SIGLIP | {
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_vit",
            "timm_pool": "token",
            "timm_proj": "linear",
        }
    }
    source, architecture = OpenClipSource(tmp_path), put_config(tmp_path, config)
    state = source.build(architecture, 1, 160).state_dict()
    torch.save(state, tmp_path / "w.pt")
    network = source.build(architecture, 1, 96).eval()
    network.load_state_dict(source.own_names(architecture, state, network))
    theirs = by_open_clip(monkeypatch, copy.deepcopy(config), tmp_path / "w.pt", force_image_size=96)
    images = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), theirs.encode_image(images))


def test_a_text_tower_under_older_names_is_taken(tmp_path):
    source = OpenClipSource(tmp_path)
    older = source.build(put_config(tmp_path, CONFIG, "old.json"), 1, 32).state_dict()
    network = source.build(put_config(tmp_path, SIGLIP), 1, 32)
    found = source.own_names("open_clip/small.json", older, network)
    network.load_state_dict(found)
    torch.testing.assert_close(found["text.ln_final.weight"], older["ln_final.weight"])


def test_a_checkpoint_without_its_text_tower_is_refused_for_words_alone(tmp_path):
    whole = store(tmp_path, CONFIG)
    state = load_text_tower(whole, tmp_path).network.state_dict()
    torch.save({k: v for k, v in state.items() if k.startswith("visual.")}, tmp_path / "visual.pt")
    folder = store(tmp_path, CONFIG, "visual.pt", sha256=sha256_of_file(tmp_path / "visual.pt"))
    with pytest.raises(UserError, match="does not have all of the text tower"):
        load_text_tower(folder, tmp_path).embed(TEXTS)


def test_the_key_of_texts_has_weights_tokenizer_and_context(tmp_path):
    key = text_key(store(tmp_path, CONFIG), tmp_path)
    assert (key["context_length"], key["tokenizer"]) == (16, "SimpleTokenizer")
    assert len(key["weights_sha256"]) == len(key["tokenizer_sha256"]) == 64
    longer = copy.deepcopy(CONFIG)
    longer["text_cfg"]["context_length"] = 17
    assert text_key(store(tmp_path, longer), tmp_path) != key


def test_a_tokenizer_of_the_hub_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match=r"^tokenizer: that of huggingface.co/timm/ViT-B-16-SigLIP2"
    ) as refusal:
        OpenClipSource().tokenizer("open_clip/ViT-B-16-SigLIP2")
    assert f"{tmp_path}/models--timm--ViT-B-16-SigLIP2/snapshots/main" in str(refusal.value)
    assert "\n" not in str(refusal.value)


HUGGING_FACE = CONFIG | {
    "text_cfg": {
        "hf_model_name": "me/words",
        "hf_tokenizer_name": "me/words",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "mean_pooler",
        "context_length": 8,
    }
}


def test_a_text_tower_and_a_tokenizer_of_the_hub_come_from_its_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    put_tokenizer(tmp_path / "hub", "me/words", "a dog on a sofa")
    folder = store(tmp_path, HUGGING_FACE)
    theirs = by_open_clip(monkeypatch, copy.deepcopy(HUGGING_FACE), folder / "weights.safetensors")
    texts = ["a dog on a sofa", "a cat"]
    with torch.inference_mode():
        wanted = theirs.encode_text(open_clip.get_tokenizer("small")(texts))
    np.testing.assert_allclose(load_text_tower(folder, tmp_path).embed(texts), wanted, atol=1e-5)


def test_another_vocabulary_is_another_key(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    put_config(tmp_path, HUGGING_FACE)
    keys = []
    for name, words in (("one", "a dog"), ("again", "a dog"), ("other", "a cat")):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / name))
        put_tokenizer(tmp_path / name, "me/words", words)
        tokenizer = OpenClipSource(tmp_path).tokenizer("open_clip/small.json")
        tokenizer.encode(["a dog"])  # which sets padding and truncation
        keys.append(tokenizer.about)
    assert keys[0] == keys[1] != keys[2]


def test_a_text_tower_of_the_hub_needs_transformers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    architecture = put_config(tmp_path, HUGGING_FACE)
    with pytest.raises(UserError, match=r"transformers is not installed; .*'pool5\[open-clip\]'"):
        OpenClipSource(tmp_path).build(architecture, 1, 32)


def test_other_models_have_no_text_tower():
    with pytest.raises(UserError, match="resnet18 has no text tower; models of open_clip have one"):
        source_of("resnet18").tokenizer("resnet18")


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UserError, match=r"open_clip is not installed; run pip install 'pool5\[open-clip\]'"):
        source_of("open_clip/ViT-B-32-plus")

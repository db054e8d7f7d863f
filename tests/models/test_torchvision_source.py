"""The networks of torchvision: tags, preprocessing, the trunks of detectors and segmenters."""

from __future__ import annotations

import pytest
import torch
import torchvision
from PIL import Image
from source_tests import SourceTests
from torch import nn
from torchvision.models import detection

from pool5.errors import UserError
from pool5.models.network import build_network, head_names, num_outputs, on_shapes_alone
from pool5.models.sources.torchvision import TorchvisionSource

SOURCE = TorchvisionSource()
TRUNKS = [
    name
    for module in (torchvision.models.detection, torchvision.models.segmentation)
    for name in torchvision.models.list_models(module=module)
]


class TestTorchvision(SourceTests):
    kind = TorchvisionSource
    small = ("squeezenet1_1", 32)
    mistyped = ("resnet50.IMAGENET1K_V3", r"did you mean resnet50.IMAGENET1K_V")
    tag = "imagenet"
    without_weights = "vit_h_14.IMAGENET1K_V9"


class TestTrunk(SourceTests):
    kind = TorchvisionSource
    small = ("lraspp_mobilenet_v3_large", 32)
    mistyped = ("lraspp_mobilenet_v3", "did you mean lraspp_mobilenet_v3_large")
    without_weights = "lraspp_mobilenet_v3_large.V0"
    takes_any_crop = True


@pytest.mark.parametrize(
    ("architecture", "tag", "wanted"),
    [
        ("resnet50", "imagenet", "ResNet50_Weights.IMAGENET1K_V1"),
        ("resnet50", "pretrained", "ResNet50_Weights.IMAGENET1K_V2"),
        ("resnet50.IMAGENET1K_V1", "pretrained", "ResNet50_Weights.IMAGENET1K_V1"),
        ("resnet50.DEFAULT", "pretrained", "ResNet50_Weights.IMAGENET1K_V2"),
        ("vit_l_16.IMAGENET1K_SWAG_E2E_V1", "pretrained", "ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1"),
    ],
)
def test_a_tag_names_the_weights(architecture, tag, wanted, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    fetched = []
    monkeypatch.setattr("pool5.models.sources.torchvision.download", lambda *asked: fetched.append(asked))
    found = SOURCE.weights(architecture, tag)
    assert found.origin == f"torchvision {wanted}"
    assert len(found.classes) == 1000
    ((url, path, sha256),) = fetched
    assert (path, url.rpartition("/")[2]) == (found.path, found.path.name)
    assert found.path.stem.endswith(sha256.removeprefix("sha256:"))


def test_imagenet_weights_that_there_are_not_are_told_with_those_that_there_are():
    with pytest.raises(UserError, match=r"no IMAGENET1K_V1 weights of vit_h_14, only .*SWAG_E2E_V1.*write"):
        SOURCE.weights("vit_h_14", "imagenet")


@pytest.mark.parametrize(
    ("architecture", "tag"),
    [
        ("efficientnet_b0", "imagenet"),
        ("swin_v2_t", "pretrained"),
        ("vit_l_16.IMAGENET1K_SWAG_E2E_V1", "pretrained"),
        ("inception_v3", "pretrained"),
        ("resnet50.IMAGENET1K_V2", "pretrained"),
        ("maxvit_t", "imagenet"),
    ],
)
def test_the_preprocessing_is_that_of_transforms(architecture, tag):
    found = SOURCE.preprocessing(architecture, tag)
    name, _, chosen = architecture.partition(".")
    known = torchvision.models.get_model_weights(name)
    transform = known[chosen or ("IMAGENET1K_V1" if tag == "imagenet" else "DEFAULT")].transforms()
    image = Image.effect_mandelbrot((500, 400), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    resized = torchvision.transforms.functional.resize(
        image, found["resize"], torchvision.transforms.InterpolationMode(found["interpolation"])
    )
    pixels = torchvision.transforms.functional.to_tensor(
        torchvision.transforms.functional.center_crop(resized, found["crop"])
    )
    ours = torchvision.transforms.functional.normalize(pixels, found["mean"], found["std"])
    torch.testing.assert_close(ours, transform(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TRUNKS)
def test_the_trunk_of_every_detector_and_segmenter_gives_maps(name):
    network = on_shapes_alone(name, 3, 320)
    maps = network(torch.empty(2, 3, 320, 320, device="meta"))
    assert all(each.ndim == 4 for each in maps.values())
    assert (head_names(network), num_outputs(network)) == ((), 0)
    assert all(key.startswith("backbone.") for key in network.state_dict())


@pytest.mark.parametrize("name", ["fasterrcnn_mobilenet_v3_large_320_fpn", "lraspp_mobilenet_v3_large"])
def test_a_trunk_computes_what_it_does_in_the_whole(name):
    torch.manual_seed(0)
    whole = torchvision.models.get_model(name, weights=None, weights_backbone=None).eval()
    trunk = build_network(name, 3, 64).eval()
    trunk.load_state_dict(SOURCE.own_names(name, whole.state_dict(), trunk))
    images = torch.randn(2, 3, 64, 64)
    for key, value in whole.backbone(images).items():
        assert torch.equal(trunk(images)[key], value)


def test_a_detector_of_torchvisions_own_has_batch_norms_without_epsilon(monkeypatch):
    """As torchvision's `overwrite_eps` makes them, where its weights of then are loaded."""
    name, weights = "fasterrcnn_resnet50_fpn", detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    torch.manual_seed(0)
    drawn = torchvision.models.get_model(name, weights=None, weights_backbone=None).state_dict()
    frozen = {key: value for key, value in drawn.items() if not key.endswith("num_batches_tracked")}
    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", lambda *_, **__: frozen)
    theirs = detection.fasterrcnn_resnet50_fpn(weights=weights).eval()
    sha256 = weights.url.rpartition("-")[2].partition(".")[0] + "0" * 56
    options = SOURCE.options(f"{name}.COCO_V1", sha256)
    assert options == {"norm_eps": 0.0}
    assert SOURCE.options(name, "1" * 64) == SOURCE.options(name) == {}
    ours = build_network(name, 3, 64, options).eval()
    ours.load_state_dict(SOURCE.own_names(name, frozen, ours), strict=False)
    assert {m.eps for m in ours.modules() if isinstance(m, nn.BatchNorm2d)} == {0.0}
    images = torch.randn(1, 3, 64, 64)
    for key, value in theirs.backbone(images).items():
        torch.testing.assert_close(ours(images)[key], value, rtol=1e-4, atol=1e-4)

"""The geometry of preprocessing, beside that of the libraries whose weights are used."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import timm.data
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.transform import image_transform
from PIL import Image
from timm.data.transforms import CenterCropOrPad, ResizeKeepRatio
from torch import nn
from torchvision import models
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from pool5.extract.forward import Forward
from pool5.images import transform
from pool5.images.transform import resize_and_crop
from pool5.params import Extract, Layer, Preprocess

SIDES = st.integers(1, 70)
SIZES = st.one_of(
    st.tuples(SIDES, SIDES), st.tuples(st.integers(1, 3), SIDES), st.tuples(SIDES, st.integers(1, 3))
)
FILTERS = st.sampled_from(["bilinear", "bicubic", "lanczos"])


def image_of(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Noise, which shows a pixel's shift in every value: (height, width, 3) of a width and height."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def photograph_of(size: tuple[int, int]) -> np.ndarray:
    """As smooth as a photograph."""
    small = Image.fromarray(image_of((size[0] // 5 + 1, size[1] // 5 + 1)) // 2 + 64)
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC))


def of_torchvision(image: np.ndarray, resize: int | list[int], crop: int, filtered: str) -> np.ndarray:
    mode = InterpolationMode[filtered.upper()]
    return np.asarray(CenterCrop(crop)(Resize(resize, mode)(Image.fromarray(image))))


def of_timm(image: np.ndarray, mode: str, preprocess: Preprocess) -> np.ndarray:
    """timm's own transform for evaluation, without what makes a tensor of it."""
    whole = timm.data.create_transform(
        preprocess.crop,
        interpolation=preprocess.interpolation,
        mean=tuple(value / 255 for value in preprocess.fill),
        crop_pct=preprocess.crop / preprocess.resize,
        crop_mode=mode,
        normalize=False,
    )
    return whole(Image.fromarray(image)).permute(1, 2, 0).numpy()


def of_open_clip(image: np.ndarray, mode: str, preprocess: Preprocess) -> np.ndarray:
    whole = image_transform(
        preprocess.crop,
        is_train=False,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        resize_mode=mode,
        interpolation=preprocess.interpolation,
        fill_color=preprocess.fill[0],
    )
    return (whole(Image.fromarray(image)).permute(1, 2, 0) * 255).round().byte().numpy()


def resized_to_nothing(size: tuple[int, int], resize: int) -> bool:
    """Whether the libraries would make no pixel of the short side, and raise."""
    return round(min(size) / (max(size) / resize)) == 0


@given(SIZES, st.integers(1, 40), st.integers(0, 9), st.sampled_from(["bicubic", "lanczos"]))
@example((500, 375), 256, 32, "bicubic")
@example((375, 500), 232, 8, "bicubic")
@example((333, 500), 235, 11, "lanczos")
@settings(max_examples=150, deadline=None)
def test_a_crop_has_the_pixels_of_torchvision(size, crop, more, filtered):
    image, preprocess = image_of(size), Preprocess(resize=crop + more, crop=crop, interpolation=filtered)
    expected = of_torchvision(image, crop + more, crop, filtered)
    np.testing.assert_array_equal(resize_and_crop(image, preprocess), expected)


@pytest.mark.parametrize(
    "size", [(500, 375), (375, 500), (333, 500), (256, 256), (100, 90), (1000, 30), (31, 997), (400, 1)]
)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (342, 299), (224, 224)])
def test_a_bilinear_crop_has_nearly_the_pixels_of_torchvision(size, resize, crop):
    image = photograph_of(size)
    found = resize_and_crop(image, Preprocess(resize=resize, crop=crop))
    difference = np.abs(found.astype(int) - of_torchvision(image, resize, crop, "bilinear"))
    assert difference.max() <= 2
    assert difference.mean() < 0.2


def test_a_bilinear_crop_has_the_bytes_that_stored_features_came_from():
    found = [resize_and_crop(image_of(size), Preprocess(resize=72, crop=64)) for size in [(90, 50), (81, 80)]]
    assert (
        hashlib.sha256(b"".join(image.tobytes() for image in found)).hexdigest()
        == "7d6fd9440ff15c5d4f1a007eb16f064b40a2334d94b98a3c28a4e08d0d5f9ed2"
    )


def test_a_panorama_costs_no_more_than_its_middle(monkeypatch):
    image, preprocess = image_of((4000, 3)), Preprocess(resize=48, crop=40, interpolation="bicubic")
    expected = resize_and_crop(image, preprocess)
    monkeypatch.setattr(transform, "_MOST_PIXELS", 64_000 * 48 - 1)
    found = resize_and_crop(image, preprocess)
    assert np.abs(found.astype(int) - expected).max() <= 2
    assert resize_and_crop(image_of((1_000_000, 1)), preprocess).shape == (40, 40, 3)  # 48 million wide


@given(SIZES, st.integers(1, 40), st.integers(0, 9), FILTERS)
@settings(max_examples=100, deadline=None)
def test_squashed_has_the_pixels_of_torchvision_and_timm(size, crop, more, filtered):
    image = image_of(size)
    preprocess = Preprocess(resize=crop + more, crop=crop, interpolation=filtered, mode="squash")
    found = resize_and_crop(image, preprocess)
    np.testing.assert_array_equal(found, of_torchvision(image, 2 * [crop + more], crop, filtered))
    if int(crop / (crop / (crop + more))) == crop + more:  # timm goes by the share, and may round it down
        np.testing.assert_array_equal(found, of_timm(image, "squash", preprocess))


@given(SIZES, st.integers(1, 40), st.integers(1, 40), FILTERS)
@example((70, 35), 24, 24, "bicubic")
@example((3, 64), 32, 33, "bilinear")
@settings(max_examples=150, deadline=None)
def test_padded_has_the_pixels_of_timm(size, resize, crop, filtered):
    image = image_of(size)
    preprocess = Preprocess(
        resize=resize, crop=crop, interpolation=filtered, mode="pad", fill=(124, 116, 104)
    )
    found = resize_and_crop(image, preprocess)
    if resized_to_nothing(size, resize):
        assert found.shape == (crop, crop, 3)
        return
    steps = [ResizeKeepRatio(resize, 1.0, filtered), CenterCropOrPad(crop, fill=preprocess.fill)]
    expected = steps[1](steps[0](Image.fromarray(image)))
    np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("size", [(61, 40), (40, 61), (64, 2), (1, 50), (9, 5), (56, 56)])
@pytest.mark.parametrize("resize", [56, 64, 70])
@pytest.mark.parametrize(
    ("mode", "theirs", "filtered"),
    [("crop", "center", "bicubic"), ("squash", "squash", "lanczos"), ("pad", "border", "bilinear")],
)
def test_timms_own_transform_gives_the_same(size, resize, mode, theirs, filtered):
    preprocess = Preprocess(resize=resize, crop=56, interpolation=filtered, mode=mode, fill=(124, 116, 104))
    image = image_of(size)
    np.testing.assert_array_equal(resize_and_crop(image, preprocess), of_timm(image, theirs, preprocess))


@given(SIZES, st.integers(1, 40), st.sampled_from(["bilinear", "bicubic"]), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_open_clips_own_transform_gives_the_same(size, crop, filtered, fill):
    image = image_of(size)
    for mode, theirs in {"crop": "shortest", "squash": "squash", "pad": "longest"}.items():
        preprocess = Preprocess(
            resize=crop, crop=crop, interpolation=filtered, mode=mode, fill=(fill, fill, fill)
        )
        if (mode, filtered) == ("crop", "bilinear") or (mode == "pad" and resized_to_nothing(size, crop)):
            continue  # a bilinear crop is nearly the same: see above
        expected = of_open_clip(image, theirs, preprocess)
        np.testing.assert_array_equal(resize_and_crop(image, preprocess), expected)


WEIGHTS = {
    "efficientnet_b0": models.EfficientNet_B0_Weights.IMAGENET1K_V1,
    "efficientnet_v2_l": models.EfficientNet_V2_L_Weights.IMAGENET1K_V1,  # mean and std .5
    "swin_t": models.Swin_T_Weights.IMAGENET1K_V1,
    "vit_l_16 swag": models.ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1,
    "inception_v3": models.Inception_V3_Weights.IMAGENET1K_V1,
}


def given_to_the_network(image: np.ndarray, preprocess: Preprocess) -> torch.Tensor:
    """What extraction gives a network of one image: (3, crop, crop)."""
    layer = Layer(node="1")
    run = Forward(nn.Sequential(nn.Identity(), nn.Flatten()), [layer], preprocess, Extract(device="cpu"))
    values = run.start(resize_and_crop(image, preprocess)[None].copy())()[layer]
    return torch.from_numpy(values).reshape(3, preprocess.crop, preprocess.crop)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("size", [(640, 480), (333, 500)])
def test_the_network_is_given_the_tensor_of_the_weights_own_transforms(name, size):
    theirs = WEIGHTS[name].transforms()
    preprocess = Preprocess(
        resize=theirs.resize_size[0],
        crop=theirs.crop_size[0],
        interpolation=theirs.interpolation.value,
        mean=tuple(theirs.mean),
        std=tuple(theirs.std),
    )
    image = photograph_of(size)
    found, expected = given_to_the_network(image, preprocess), theirs(Image.fromarray(image))
    if preprocess.interpolation == "bilinear":  # some pixels are off by a level, as above: leave them out
        same = (found - expected).abs() < 0.5 / 255
        assert same.float().mean() > 0.7
        found, expected = found[same], expected[same]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(640, 480), (333, 500)])
def test_inceptions_range_is_that_of_timm_and_of_torchvisions_transform_input(size):
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    image = image_of(size)
    preprocess = Preprocess(resize=342, crop=299, interpolation="bicubic", **half)
    found = given_to_the_network(image, preprocess)
    theirs = timm.data.create_transform(299, interpolation="bicubic", crop_pct=0.874, **half)
    torch.testing.assert_close(found, theirs(Image.fromarray(image)), rtol=0, atol=1e-6)
    assert found.min() == pytest.approx(-1)
    assert found.max() == pytest.approx(1)
    network = models.inception_v3(weights=None, transform_input=True, init_weights=False)
    usual = given_to_the_network(image, Preprocess(resize=342, crop=299, interpolation="bicubic"))
    torch.testing.assert_close(network._transform_input(usual[None])[0], found, rtol=0, atol=1e-6)

"""Augmentation in batch does what torchvision does image by image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from pool5.params import Augment, Preprocess
from pool5.training.augmentation import Changes, augmented_batch, draw_changes, plain_batch

CPU = torch.device("cpu")
PLAIN = Preprocess(resize=40, crop=32, mean=(0, 0, 0), std=(1, 1, 1))


def pictures(count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 5 * n, 60 - 3 * n, 3), dtype=np.uint8) for n in range(count)]


def changes_of(boxes, **given_) -> Changes:
    count = len(boxes)
    fields = {
        "flips": torch.zeros(count, dtype=torch.bool),
        "brightness": torch.ones(count),
        "contrast": torch.ones(count),
        "saturation": torch.ones(count),
        "hue": torch.zeros(count),
        "order": torch.arange(4),
    }
    return Changes(boxes=torch.tensor(boxes), **fields | given_)


def test_a_box_is_cropped_and_resized_as_torch_does():
    images, boxes = pictures(), [[3, 5, 20, 31], [0, 0, 45, 57], [10, 2, 32, 32]]
    found = augmented_batch(images, changes_of(boxes), PLAIN, CPU)
    for pixels, image, (top, left, h, w) in zip(found, images, boxes, strict=True):
        part = torch.from_numpy(image[top : top + h, left : left + w]).permute(2, 0, 1)[None].float() / 255
        expected = interpolate(part, (32, 32), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(pixels, expected, atol=2e-5, rtol=0)


def test_a_flip_mirrors_the_crop():
    images, boxes = pictures(2), [[3, 5, 20, 31], [0, 0, 40, 57]]
    straight = augmented_batch(images, changes_of(boxes), PLAIN, CPU)
    flipped = augmented_batch(images, changes_of(boxes, flips=torch.tensor([True, False])), PLAIN, CPU)
    torch.testing.assert_close(flipped[0], straight[0].flip(2))
    torch.testing.assert_close(flipped[1], straight[1])


@pytest.mark.parametrize(
    ("name", "adjust", "factors"),
    [
        ("brightness", F.adjust_brightness, [0.4, 1.0, 1.7]),
        ("contrast", F.adjust_contrast, [0.4, 1.0, 1.7]),
        ("saturation", F.adjust_saturation, [0.0, 1.0, 1.7]),
        ("hue", F.adjust_hue, [-0.4, 0.0, 0.25]),
    ],
)
def test_colours_change_as_in_torchvision(name, adjust, factors):
    images, boxes = pictures(), [[0, 0, 32, 32]] * 3
    found = augmented_batch(images, changes_of(boxes, **{name: torch.tensor(factors)}), PLAIN, CPU)
    for pixels, image, factor in zip(found, images, factors, strict=True):
        before = torch.from_numpy(image[:32, :32]).permute(2, 0, 1).float() / 255
        torch.testing.assert_close(pixels, adjust(before, factor), atol=2e-5, rtol=0)


def test_the_four_are_applied_in_the_drawn_order():
    images, boxes = pictures(1), [[0, 0, 32, 32]]
    values = {
        "brightness": torch.tensor([1.5]),
        "contrast": torch.tensor([0.5]),
        "saturation": torch.tensor([1.8]),
        "hue": torch.tensor([0.1]),
    }
    before = torch.from_numpy(images[0][:32, :32]).permute(2, 0, 1).float() / 255
    adjust = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    for order in ([0, 1, 2, 3], [3, 0, 2, 1]):
        changes = changes_of(boxes, order=torch.tensor(order), **values)
        expected = before
        for which in order:
            expected = adjust[which](expected, float(list(values.values())[which]))
        found = augmented_batch(images, changes, PLAIN, CPU)[0]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_crops_are_distributed_as_torchvisions_random_resized_crop():
    augment = Augment(scale=(0.2, 1.0), ratio=(0.75, 4 / 3))
    sizes = torch.tensor([[375, 500]]).expand(4000, 2)
    boxes = draw_changes(sizes, augment, 32, torch.Generator().manual_seed(0)).boxes.double()
    image = torch.zeros(3, 375, 500)
    torch.manual_seed(0)
    reference = torch.tensor(
        [v2.RandomResizedCrop.get_params(image, [0.2, 1.0], [0.75, 4 / 3]) for _ in range(4000)]
        if hasattr(v2.RandomResizedCrop, "get_params")
        else [_torchvision_box(image) for _ in range(4000)]
    ).double()
    for column in range(4):
        torch.testing.assert_close(boxes[:, column].mean(), reference[:, column].mean(), rtol=0.05, atol=0)
        torch.testing.assert_close(boxes[:, column].std(), reference[:, column].std(), rtol=0.05, atol=0)


def _torchvision_box(image):
    crop = v2.RandomResizedCrop(32, scale=(0.2, 1.0), ratio=(0.75, 4 / 3))
    made = crop.make_params([image])
    return [made["top"], made["left"], made["height"], made["width"]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(32, 400), st.integers(32, 400)), min_size=1, max_size=5),
    st.one_of(st.none(), st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted).map(tuple)),
    st.integers(0, 2**32 - 1),
)
def test_every_box_lies_within_its_image_and_has_an_allowed_shape(sizes, scale, seed):
    augment = Augment(scale=scale)
    generator = torch.Generator().manual_seed(seed)
    boxes = draw_changes(torch.tensor(sizes), augment, 32, generator).boxes
    for (top, left, h, w), (height, width) in zip(boxes.tolist(), sizes, strict=True):
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width
        assert min(h, w) >= 1
        if scale is None:
            assert (h, w) == (32, 32)


def test_the_seed_alone_decides():
    augment = Augment(scale=(0.3, 1), brightness=0.3, hue=0.1)
    sizes = torch.tensor([[50, 60]] * 8)
    first = draw_changes(sizes, augment, 32, torch.Generator().manual_seed(4))
    torch.manual_seed(9)
    second = draw_changes(sizes, augment, 32, torch.Generator().manual_seed(4))
    other = draw_changes(sizes, augment, 32, torch.Generator().manual_seed(5))
    assert torch.equal(first.boxes, second.boxes)
    assert torch.equal(first.hue, second.hue)
    assert not torch.equal(first.boxes, other.boxes)
    assert 0.7 <= first.brightness.min() <= first.brightness.max() <= 1.3
    assert first.contrast.tolist() == [1] * 8


def test_normalisation_is_torchvisions():
    preprocess = Preprocess(resize=32, crop=32)
    image = pictures(1)[0][:32, :32]
    expected = F.normalize(
        torch.from_numpy(image).permute(2, 0, 1).float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(plain_batch([image], preprocess, CPU)[0], expected)
    whole = augmented_batch([image], changes_of([[0, 0, 32, 32]]), preprocess, CPU)[0]
    torch.testing.assert_close(whole, expected, atol=1e-4, rtol=0)
    assert math.isclose(plain_batch([image], preprocess, CPU).shape[0], 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_gives_the_same_batch():
    images, boxes = pictures(), [[3, 5, 20, 31], [0, 0, 45, 57], [10, 2, 32, 32]]
    changes = changes_of(boxes, hue=torch.tensor([0.1, -0.2, 0.0]), contrast=torch.tensor([0.5, 1.5, 1.0]))
    on_gpu = augmented_batch(images, changes, PLAIN, torch.device("cuda")).cpu()
    torch.testing.assert_close(on_gpu, augmented_batch(images, changes, PLAIN, CPU), atol=1e-4, rtol=0)

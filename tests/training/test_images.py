"""Decoded images in memory, or in a file where memory is short."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import pool5.training.images as module
from pool5.images.address import Address
from pool5.images.budget import UnreadableImage
from pool5.images.image_file import read_image
from pool5.images.transform import resize_and_crop
from pool5.params import Augment, Preprocess
from pool5.training.augmentation import augmented_batch, draw_changes
from pool5.training.images import decode_for_testing, decode_for_training, resized_for_training

PREPROCESS = Preprocess(resize=40, crop=32)


def paths_of(toy):
    return [Address.parse(path, toy.root) for path in toy.train.paths.tolist()]


def test_training_images_keep_their_shape_and_their_short_side_is_resize(toy, tmp_path):
    images = decode_for_training(paths_of(toy), PREPROCESS, tmp_path)
    for image, path in zip(images, paths_of(toy), strict=True):
        expected = v2.Resize(40)(Image.fromarray(read_image(path)))
        np.testing.assert_array_equal(image, np.asarray(expected))
    assert not list(tmp_path.iterdir())


def test_test_images_are_those_of_extraction(toy, tmp_path):
    images = decode_for_testing(paths_of(toy)[:4], PREPROCESS, tmp_path)
    for image, path in zip(images, paths_of(toy)[:4], strict=True):
        np.testing.assert_array_equal(image, resize_and_crop(read_image(path), PREPROCESS))


def test_what_does_not_fit_into_memory_is_the_same_from_a_file(toy, tmp_path, monkeypatch):
    in_memory = decode_for_training(paths_of(toy), PREPROCESS, tmp_path)
    monkeypatch.setattr(module, "_free_memory", lambda: 1000)
    in_file = decode_for_training(paths_of(toy), PREPROCESS, tmp_path / "new")
    assert all(isinstance(image, np.memmap) for image in in_file)
    for a, b in zip(in_memory, in_file, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list((tmp_path / "new").iterdir())  # unnamed: a kill leaves nothing behind


def test_an_image_damaged_since_the_manifest_stops_it(toy, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    with pytest.raises(UnreadableImage, match=r"bad.jpg"):
        decode_for_training([*paths_of(toy)[:2], Address(str(bad))], PREPROCESS, tmp_path)


def test_a_panorama_costs_no_more_than_four_squares():
    wide = np.zeros((10, 3000, 3), np.uint8)
    assert resized_for_training(wide, PREPROCESS).shape == (40, 160, 3)
    assert resized_for_training(wide.transpose(1, 0, 2), PREPROCESS).shape == (160, 40, 3)


def test_squashed_and_padded_images_are_those_of_extraction_before_the_crop():
    image = np.random.default_rng(0).integers(0, 256, (30, 90, 3), dtype=np.uint8)
    for mode in ("squash", "pad"):
        whole = Preprocess(resize=32, crop=32, mode=mode, fill=(9, 8, 7))
        np.testing.assert_array_equal(resized_for_training(image, whole), resize_and_crop(image, whole))
    squashed = Preprocess(resize=40, crop=32, mode="squash")
    np.testing.assert_array_equal(
        resized_for_training(image, squashed), np.asarray(v2.Resize((40, 40))(Image.fromarray(image)))
    )


@pytest.mark.parametrize("mode", ["crop", "squash", "pad"])
@pytest.mark.parametrize("resize", [32, 40])
@pytest.mark.parametrize("size", [(30, 90), (90, 30), (1, 50), (32, 32)])
def test_a_random_crop_fits_into_every_image(mode, resize, size):
    preprocess = Preprocess(resize=resize, crop=32, mode=mode)
    image = resized_for_training(np.zeros((*size, 3), np.uint8), preprocess)
    sizes = torch.tensor([image.shape[:2]])
    assert (sizes >= 32).all()
    changes = draw_changes(sizes, Augment(), 32, torch.Generator().manual_seed(0))
    assert augmented_batch([image], changes, preprocess, torch.device("cpu")).shape == (1, 3, 32, 32)


def test_a_padding_has_its_colour_around_the_middle():
    image = np.full((10, 40, 3), 200, np.uint8)
    padded = resized_for_training(image, Preprocess(resize=40, crop=32, mode="pad", fill=(1, 2, 3)))
    assert padded.shape == (32, 40, 3)
    assert (padded[11:21] == 200).all()
    assert (padded[:11] == (1, 2, 3)).all()
    assert (padded[21:] == (1, 2, 3)).all()

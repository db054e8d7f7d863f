"""What pictures look like, against slow and independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import laplace

from pool5.images.looks import BAND, SIDE, look_at


def laplacian(levels: np.ndarray) -> np.ndarray:
    """Inside, where there is an inside."""
    found = laplace(levels, mode="nearest")
    return found if min(found.shape) < 3 else found[1:-1, 1:-1]


def picture(seed: int = 0, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """Smooth noise in colour, smaller than what is shrunk."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(120, 90), (3, 100), (2, 100), (1, 1)])
def test_every_measure_is_what_numpy_and_scipy_say(size):
    looks = look_at(picture(size=size))
    levels = np.asarray(picture(size=size).convert("L")).astype(float)
    assert looks.brightness == pytest.approx(levels.mean() / 255, abs=1e-12)
    assert looks.contrast == pytest.approx(levels.std() / 255, abs=1e-12)
    assert looks.sharpness == pytest.approx(np.square(laplacian(levels)).mean(), abs=1e-9)
    bands = [((levels >= low) & (levels < low + BAND)).mean() for low in range(256 - BAND + 1)]
    assert looks.plain == pytest.approx(max(bands), abs=1e-12)
    assert (levels <= looks.low).mean() >= 0.05 > (levels < looks.low).mean()
    assert (levels <= looks.high).mean() >= 0.99 > (levels < looks.high).mean()


def test_a_blank_picture_is_plain_whatever_its_level():
    for level in (0, 90, 255):
        looks = look_at(Image.new("RGB", (40, 30), (level,) * 3))
        assert looks == pytest.approx((level / 255, 0, 0, 1, level, level), abs=1e-12)


@pytest.mark.parametrize("times", [2, 5, 17])
def test_the_size_of_a_picture_changes_little(times):
    """The same scene in more pixels: what is measured is at one size."""
    small = picture(size=(SIDE, 96))
    large = small.resize((SIDE * times, 96 * times), Image.Resampling.NEAREST)
    found, expected = look_at(large), look_at(small)
    assert found[:2] == pytest.approx(expected[:2], abs=0.005)
    assert found.sharpness == pytest.approx(expected.sharpness, rel=0.2)


def test_a_blur_takes_sharpness_and_noise_brings_it():
    rng = np.random.default_rng(1)
    sharp = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((128, 96))
    blurred = sharp.filter(ImageFilter.GaussianBlur(2))
    noisy = Image.fromarray(
        np.clip(np.asarray(sharp) + rng.normal(0, 40, (96, 128, 3)), 0, 255).astype(np.uint8)
    )
    assert look_at(blurred).sharpness < look_at(sharp).sharpness / 5
    assert look_at(noisy).sharpness > look_at(sharp).sharpness * 5

"""What may be wrong with a photograph, done to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

Fault = Callable[[Image.Image, np.random.Generator], Image.Image]


def _levels(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Fault:
    """A fault that changes the levels, as float64."""

    def fault(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        changed = change(np.asarray(photo, float), rng)
        return Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))

    return fault


def _strip(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = photo.size
    high = max(width // 4, 1)
    top = int(rng.integers(0, max(height - high, 0) + 1))
    return photo.crop((0, top, width, top + high))


FAULTS: Mapping[str, Fault] = {
    "blank": _levels(lambda a, rng: rng.uniform(0, 255) + rng.normal(0, 1.5, a.shape)),
    "dark": _levels(lambda a, _: a * 0.1),
    "bright": _levels(lambda a, _: 255 - (255 - a) * 0.1),
    "blurred": lambda photo, _: photo.filter(ImageFilter.GaussianBlur(8)),
    "grainy": _levels(lambda a, rng: a + rng.normal(0, 60, a.shape)),
    "noise": _levels(lambda a, rng: rng.uniform(0, 256, a.shape)),
    "panorama": _strip,
    "turned": lambda photo, _: photo.rotate(90, expand=True),
    "upside down": lambda photo, _: photo.rotate(180),
}

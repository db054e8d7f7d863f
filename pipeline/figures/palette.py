"""One colour a class, and the colour of an image that shows several."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

# Found by a max-min search over sRGB (CIE L* 28 to 83, C* from 28): any two are at least 16 CIEDE2000 apart,
# 9 under protanopia, deuteranopia and tritanopia as Machado, Oliveira and Fernandes (2009) simulate them,
# and the mean of any two is at least 6 from any third. Farthest first, so that few classes get the clearest.
_COLOURS = [
    "24ed24",
    "6d246d",
    "ffb6c8",
    "5b6d00",
    "5b6dff",
    "ed376d",
    "009280",
    "c8c8ff",
    "0000ed",
    "b68012",
    "005b49",
    "dbc892",
    "12a4ff",
    "a40049",
    "c880b6",
    "ed806d",
    "6d3700",
    "006d92",
    "db12b6",
    "80b692",
]
_GOLDEN_ANGLE = (3 - 5**0.5) / 2  # of a full turn

NO_CLASS = np.array([0.62, 0.62, 0.62])  # an image in which no class is certain to be present


def class_colours(classes: Sequence[str]) -> np.ndarray:
    """The colour of every class, by its place in `classes`.

    The first 20 are told apart with the common colour-vision deficiencies too; further ones differ from
    each other and from these, but no eye tells hundreds apart.

    Parameters
    ----------
    classes : sequence of C str

    Returns
    -------
    (C, 3) float64 array, sRGB in [0, 1]
    """
    fixed = [[int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)] for colour in _COLOURS[: len(classes)]]
    further = [
        colorsys.hsv_to_rgb(i * _GOLDEN_ANGLE % 1, (0.9, 0.6, 0.75)[i % 3], (0.85, 0.55, 0.7)[i // 3 % 3])
        for i in range(len(classes) - len(fixed))
    ]
    return np.array([*fixed, *further], np.float64).reshape(len(classes), 3)


def mean_colour(labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The colour of every image: the mean, in linear light, of the colours of the classes present.

    Linear light is what mixes when small dots of both colours are seen from afar; a mean of sRGB codes is
    too dark. An image without a present class (label 1) gets the grey `NO_CLASS`.

    Parameters
    ----------
    labels : (N, C) int array
        1 present; 0 (only difficult instances) and -1 count as not present.
    colours : (C, 3) float array, sRGB in [0, 1]

    Returns
    -------
    (N, 3) float64 array, sRGB in [0, 1]
    """
    present = (np.asarray(labels) == 1).astype(np.float64)
    count = present.sum(axis=1, keepdims=True)
    linear = present @ _to_linear(colours) / np.maximum(count, 1)
    return np.where(count > 0, _to_srgb(linear), NO_CLASS)


def hex_colours(colours: np.ndarray) -> list[str]:
    """Colours as `#rrggbb`, for CSV and HTML; `colours` is (N, 3) sRGB in [0, 1]."""
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(np.asarray(colours) * 255).astype(int).tolist()]


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, decoding."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, encoding."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)

"""Colours that can be told apart, and means that are means."""

from __future__ import annotations

import numpy as np
import pytest

from pool5.figures.palette import NO_CLASS, class_colours, hex_colours, mean_colour

VOC_CLASSES = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]

# Machado, Oliveira and Fernandes (2009), severity 1.0, applied to linear RGB
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear_light(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = np.clip(linear, 0, 1) @ to_xyz.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def ciede2000(lab1: np.ndarray, lab2: np.ndarray) -> np.ndarray:
    """Sharma, Wu and Dalal (2005)."""
    L1, a1, b1 = np.moveaxis(lab1, -1, 0)
    L2, a2, b2 = np.moveaxis(lab2, -1, 0)
    mean_c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - np.sqrt(mean_c7 / (mean_c7 + 25.0**7)))
    C1, C2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1 = np.degrees(np.arctan2(b1, a1 * stretch)) % 360
    h2 = np.degrees(np.arctan2(b2, a2 * stretch)) % 360
    turn = np.where(C1 * C2 == 0, 0, (h2 - h1 + 180) % 360 - 180)
    dL, dC, dH = L2 - L1, C2 - C1, 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn / 2))
    L, C, h = (L1 + L2) / 2, (C1 + C2) / 2, np.where(C1 * C2 == 0, h1 + h2, (h1 + turn / 2) % 360)
    T = 1 + sum(
        weight * np.cos(np.radians(times * h + shift))
        for weight, times, shift in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    )
    SL, SC, SH = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2), 1 + 0.045 * C, 1 + 0.015 * C * T
    rotation = (
        -2 * np.sqrt(C**7 / (C**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2))))
    )
    return np.sqrt((dL / SL) ** 2 + (dC / SC) ** 2 + (dH / SH) ** 2 + rotation * (dC / SC) * (dH / SH))


def closest_pair(points: np.ndarray) -> float:
    first, second = np.triu_indices(len(points), 1)
    return float(ciede2000(points[first], points[second]).min())


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [  # rows 1, 7, 17, 19 and 25 of the test data that Sharma, Wu and Dalal publish
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_the_colour_difference_agrees_with_its_published_values(one, other, expected):
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_twenty_colours_are_told_apart_by_every_eye(vision):
    seen = linear_light(class_colours(VOC_CLASSES)) @ np.transpose(VISIONS[vision])
    assert closest_pair(lab(seen)) > (16 if vision == "normal" else 9)


def test_colours_stand_out_from_white_and_from_black_paper():
    lightness = lab(linear_light(class_colours(VOC_CLASSES)))[:, 0]
    assert lightness.min() > 25
    assert lightness.max() < 86


def test_the_mean_of_two_colours_is_no_third_classes_colour():
    colours = class_colours(VOC_CLASSES)
    points = lab(linear_light(colours))
    for i in range(20):
        for j in range(i):
            labels = np.full((1, 20), -1)
            labels[0, [i, j]] = 1
            mixed = lab(linear_light(mean_colour(labels, colours)))
            others = np.delete(points, [i, j], axis=0)
            assert ciede2000(mixed, others).min() > 5, (VOC_CLASSES[i], VOC_CLASSES[j])


def test_an_image_with_car_and_person_has_the_mean_of_the_two_in_linear_light():
    colours = class_colours(VOC_CLASSES)
    car, person = VOC_CLASSES.index("car"), VOC_CLASSES.index("person")
    labels = np.full((1, 20), -1, np.int8)
    labels[0, [car, person]] = 1
    mean = (linear_light(colours[car]) + linear_light(colours[person])) / 2
    np.testing.assert_allclose(linear_light(mean_colour(labels, colours)[0]), mean, atol=1e-12)


def test_the_mean_of_black_and_white_is_the_grey_that_reflects_half_the_light():
    grey = mean_colour(np.array([[1, 1]]), np.array([[0.0, 0, 0], [1, 1, 1]]))
    assert hex_colours(grey) == [
        "#bcbcbc"
    ]  # 188: https://en.wikipedia.org/wiki/SRGB; 128 would be a mean of codes


def test_difficult_and_absent_classes_do_not_colour():
    colours = class_colours(["cat", "dog", "cow"])
    labels = np.array([[1, 0, -1], [-1, 0, -1]])
    np.testing.assert_allclose(mean_colour(labels, colours), [colours[0], NO_CLASS], atol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 21, 300])
def test_any_number_of_classes_gets_as_many_different_colours(count):
    colours = class_colours([str(i) for i in range(count)])
    assert colours.shape == (count, 3)
    assert len(set(hex_colours(colours))) == count

"""The grounds that objects are drawn on: a plain one, and a scene with things on it that are no class."""

from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .shapes import Colour, any_paint, paint, shade

# the far and the near ground, as ranges of hue, saturation and value
_Range = tuple[float, float]
_GROUNDS: dict[str, tuple[tuple[_Range, _Range, _Range], tuple[_Range, _Range, _Range] | None]] = {
    "street": (((0.5, 0.65), (0, 0.35), (0.5, 0.95)), ((0, 1), (0, 0.1), (0.25, 0.6))),
    "room": (((0, 1), (0, 0.35), (0.45, 0.95)), ((0.02, 0.12), (0.1, 0.6), (0.3, 0.75))),
    "field": (((0.5, 0.62), (0.05, 0.5), (0.6, 1)), ((0.15, 0.36), (0.25, 0.75), (0.3, 0.75))),
    "water": (((0.5, 0.65), (0, 0.4), (0.6, 1)), ((0.45, 0.64), (0.2, 0.7), (0.25, 0.75))),
    "sky": (((0.52, 0.66), (0.05, 0.65), (0.45, 1)), None),
}


def plain_ground(rng: random.Random, noise: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Soft and smooth, from light to dark, with some mottle."""
    tone = paint(rng, (0, 1), (0, 0.45), (0.3, 0.95))
    ground = _gradient(size, tone, shade(tone, rng.uniform(0.6, 1.3)))
    return ImageChops.multiply(
        ground, mottle(noise, size, cells=rng.randint(2, 24), low=rng.randint(170, 230))
    )


def scene_ground(
    rng: random.Random, noise: np.random.Generator, size: tuple[int, int], scene: str
) -> Image.Image:
    """A scene without its objects: a far and a near ground, and things on them that are no class."""
    width, height = size
    far_ranges, near_ranges = _GROUNDS[scene]
    far = paint(rng, *far_ranges)
    near = paint(rng, *near_ranges) if near_ranges else far
    horizon = round(height * rng.uniform(0.25, 0.7))
    canvas = _gradient(size, far, shade(far, rng.uniform(0.85, 1.2)))
    canvas.paste(_gradient((width, height - horizon), near, shade(near, rng.uniform(0.7, 1.3))), (0, horizon))
    land = _Land(ImageDraw.Draw(canvas), rng, size, horizon, far, near)
    for _ in range(rng.randint(2, 7)):
        x, w, h = rng.uniform(-0.1, 1) * width, rng.uniform(0.08, 0.3) * width, rng.uniform(0.1, 0.5) * height
        getattr(land, scene)(x, w, h)
    for _ in range(rng.randint(0, 6)):
        land.litter()
    for cells in (rng.randint(3, 8), rng.randint(20, 60)):
        canvas = ImageChops.multiply(canvas, mottle(noise, size, cells=cells, low=rng.randint(180, 235)))
    return canvas


def mottle(noise: np.random.Generator, size: tuple[int, int], *, cells: int, low: int) -> Image.Image:
    """Smooth grey noise between `low` and 255, `cells` lumps along the short side."""
    step = min(size) / cells
    grid = (math.ceil(size[1] / step) + 1, math.ceil(size[0] / step) + 1)
    lumps = noise.integers(low, 256, grid, dtype=np.uint8)
    grey = Image.fromarray(lumps).resize(size, Image.Resampling.BICUBIC)
    return Image.merge("RGB", (grey, grey, grey))


def _gradient(size: tuple[int, int], above: Colour, below: Colour) -> Image.Image:
    return Image.composite(
        Image.new("RGB", size, below), Image.new("RGB", size, above), Image.linear_gradient("L").resize(size)
    )


@dataclasses.dataclass(frozen=True)
class _Land:
    """What stands on a ground; a method a scene, for a thing at `x`, about `w` wide and `h` tall."""

    pen: ImageDraw.ImageDraw
    rng: random.Random
    size: tuple[int, int]
    horizon: int
    far: Colour
    near: Colour

    def street(self, x: float, w: float, h: float) -> None:
        """A house with windows."""
        wall = paint(self.rng, (0, 0.15), (0, 0.5), (0.3, 0.85))
        self._block(x, self.horizon - h, w, h, wall)
        for i in range(3):
            for j in range(self.rng.randint(1, 4)):
                left, top = x + w * (0.1 + 0.3 * i), self.horizon - h * (0.9 - 0.25 * j)
                self._block(left, top, w * 0.18, h * 0.14, shade(wall, 0.55))

    def room(self, x: float, w: float, h: float) -> None:
        """A picture or a shelf."""
        frame, height = any_paint(self.rng), self.size[1]
        self._block(x, self.rng.uniform(0, 0.4) * height, w, h * 0.6, shade(frame, 0.6))
        self._block(x + 5, self.rng.uniform(0.02, 0.4) * height, max(w - 10, 4), h * 0.4, frame)

    def field(self, x: float, w: float, h: float) -> None:
        """A tree or a bush."""
        leaf = paint(self.rng, (0.2, 0.4), (0.3, 0.8), (0.2, 0.6))
        self._block(x, self.horizon - h * 0.5, w * 0.08 + 2, h * 0.5, (88, 66, 48))
        self._blob(x, self.horizon - h * 0.6, w * 0.35, h * 0.4, leaf)

    def water(self, x: float, w: float, h: float) -> None:
        """A wave, and the far shore."""
        y = self.rng.uniform(self.horizon, self.size[1])
        crests = [(x + w * i / 6, y + (4 if i % 2 else -4)) for i in range(9)]
        self.pen.line(crests, fill=shade(self.near, 1.4), width=3)
        self._blob(x, self.horizon, w, h * 0.15, shade(self.near, 0.7))

    def sky(self, x: float, w: float, h: float) -> None:
        """A cloud."""
        rng = self.rng
        y, white = rng.uniform(0, self.size[1]), shade(self.far, rng.uniform(1.1, 1.5))
        for _ in range(4):
            self._blob(x + rng.uniform(-w, w) / 2, y + rng.uniform(-h, h) / 6, w * 0.4, h * 0.25, white)

    def litter(self) -> None:
        """Something of any shape and colour."""
        rng, (width, height) = self.rng, self.size
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        r = rng.uniform(0.02, 0.12) * min(self.size)
        corners = rng.randint(3, 6)
        turn = rng.uniform(0, 6)
        ring = [(turn + 2 * math.pi * i / corners, r * rng.uniform(0.5, 1.2)) for i in range(corners)]
        points = [(round(x + d * math.cos(a)), round(y + d * math.sin(a))) for a, d in ring]
        self.pen.polygon(points, fill=any_paint(rng))

    def _block(self, x: float, y: float, w: float, h: float, colour: Colour) -> None:
        self.pen.rectangle((round(x), round(y), round(x + w), round(y + h)), fill=colour)

    def _blob(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.pen.ellipse((round(x - rx), round(y - ry), round(x + rx), round(y + ry)), fill=colour)

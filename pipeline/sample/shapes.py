"""The twenty objects of the embedded sample, drawn as coloured polygons.

Coordinates are the object's own: x to the right, y down, the object roughly inside the unit square, standing
on y = 1. Only Python's floats and `math` are used, so that the same seed gives the same polygons anywhere.
"""

from __future__ import annotations

import colorsys
import dataclasses
import math
import random
from collections.abc import Callable, Sequence

Point = tuple[float, float]
Colour = tuple[int, int, int]

BLACK: Colour = (28, 28, 30)
GLASS: Colour = (150, 180, 196)
STEEL: Colour = (158, 160, 164)


@dataclasses.dataclass
class Shape:
    """An object as polygons, painted in order."""

    polygons: list[tuple[list[Point], Colour]] = dataclasses.field(default_factory=list)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled outline."""
        self.polygons.append((list(points), colour))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, tilt: float = 0.0, sides: int = 28
    ) -> None:
        """An ellipse around (x, y), turned by `tilt` radians."""
        c, s = math.cos(tilt), math.sin(tilt)
        ring = [
            (rx * math.cos(2 * math.pi * i / sides), ry * math.sin(2 * math.pi * i / sides))
            for i in range(sides)
        ]
        self.polygon([(x + c * u - s * v, y + s * u + c * v) for u, v in ring], colour)

    def limb(self, points: Sequence[Point], width: float, colour: Colour, end: float | None = None) -> None:
        """A bent bar with round joints, whose width goes from `width` to `end`."""
        taper = 0.0 if end is None else (end - width) / (len(points) - 1)
        widths = [width + taper * i for i in range(len(points))]
        for (x0, y0), (x1, y1), w0, w1 in zip(points, points[1:], widths, widths[1:], strict=False):
            length = math.hypot(x1 - x0, y1 - y0) or 1.0
            nx, ny = (y0 - y1) / length / 2, (x1 - x0) / length / 2
            self.polygon(
                [
                    (x0 + nx * w0, y0 + ny * w0),
                    (x1 + nx * w1, y1 + ny * w1),
                    (x1 - nx * w1, y1 - ny * w1),
                    (x0 - nx * w0, y0 - ny * w0),
                ],
                colour,
            )
        for (x, y), w in zip(points, widths, strict=True):
            self.ellipse(x, y, w / 2, w / 2, colour, sides=12)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        """A circle's line: a wheel that one can see through."""
        turns = [2 * math.pi * i / 24 for i in range(25)]
        self.limb([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in turns], width, colour)

    def wheel(self, x: float, y: float, radius: float, hub: Colour = STEEL) -> None:
        """A black tyre about a hub."""
        self.ellipse(x, y, radius, radius, BLACK)
        self.ellipse(x, y, radius * 0.5, radius * 0.5, hub)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker (factor < 1) or lighter."""
    r, g, b = (max(0, min(255, round(c * factor))) for c in colour)
    return r, g, b


def paint(
    rng: random.Random, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    """A colour drawn from ranges of hue, saturation and value, all in [0, 1]."""
    r, g, b = colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value))
    return round(255 * r), round(255 * g), round(255 * b)


def any_paint(rng: random.Random) -> Colour:
    """What cars, clothes and cushions have: any hue, and often none."""
    if rng.random() < 0.3:
        return paint(rng, (0, 1), (0, 0.12), (0.2, 0.95))
    return paint(rng, (0, 1), (0.25, 0.9), (0.3, 0.95))


def wood(rng: random.Random) -> Colour:
    return paint(rng, (0.04, 0.11), (0.3, 0.75), (0.3, 0.85))


def coat(rng: random.Random) -> Colour:
    """An animal's: brown, ginger, grey, black or white."""
    kind = rng.random()
    if kind < 0.5:
        return paint(rng, (0.04, 0.1), (0.3, 0.75), (0.3, 0.8))
    if kind < 0.75:
        return paint(rng, (0, 1), (0, 0.08), (0.15, 0.55))
    return paint(rng, (0.08, 0.14), (0, 0.2), (0.7, 0.95))


def skin(rng: random.Random) -> Colour:
    return paint(rng, (0.04, 0.09), (0.3, 0.6), (0.4, 0.95))


def _legs(
    shape: Shape,
    rng: random.Random,
    xs: Sequence[float],
    top: float,
    width: float,
    colour: Colour,
    stride: float,
) -> None:
    for i, x in enumerate(xs):
        swing = rng.uniform(-stride, stride)
        tone = shade(colour, 0.72 if i % 2 else 0.95)
        knee = (x + swing * 0.3, top + (1 - top) * 0.5)
        shape.limb([(x, top), knee, (x + swing, 0.98)], width, tone, width * 0.7)


def aeroplane(rng: random.Random) -> Shape:
    s, body, wing = Shape(), paint(rng, (0, 1), (0, 0.3), (0.6, 0.98)), any_paint(rng)
    if rng.random() < 0.45:  # seen from above
        sweep = rng.uniform(0.08, 0.3)
        for side in (-1, 1):
            s.polygon(
                [
                    (0.42, 0.5),
                    (0.6, 0.5),
                    (0.45 - sweep, 0.5 + side * 0.48),
                    (0.36 - sweep, 0.5 + side * 0.48),
                ],
                shade(body, 0.85),
            )
            s.polygon([(0.06, 0.5), (0.17, 0.5), (0.04, 0.5 + side * 0.17), (-0.01, 0.5 + side * 0.17)], wing)
            s.ellipse(0.42 - sweep / 3, 0.5 + side * 0.2, 0.06, 0.028, shade(body, 0.55))
        s.ellipse(0.5, 0.5, 0.5, rng.uniform(0.05, 0.08), body)
        s.ellipse(0.92, 0.5, 0.04, 0.03, GLASS)
        return s
    thick = rng.uniform(0.06, 0.1)
    s.polygon([(0.02, 0.5), (0.0, 0.2), (0.1, 0.2), (0.24, 0.48)], wing)
    s.polygon([(0.4, 0.52), (0.56, 0.52), (0.34, 0.26), (0.28, 0.26)], shade(body, 0.7))
    s.ellipse(0.5, 0.52, 0.5, thick, body)
    for i in range(8):
        s.ellipse(0.25 + 0.07 * i, 0.5, 0.013, 0.016, BLACK, sides=8)
    s.polygon([(0.38, 0.55), (0.6, 0.55), (0.3, 0.82), (0.2, 0.82)], shade(body, 0.82))
    s.ellipse(0.42, 0.66, 0.07, 0.035, shade(wing, 0.7))
    s.polygon([(0.05, 0.5), (0.15, 0.5), (0.03, 0.62), (-0.02, 0.62)], shade(wing, 0.8))
    return s


def bicycle(rng: random.Random) -> Shape:
    s, frame = Shape(), any_paint(rng)
    r, line = rng.uniform(0.2, 0.24), rng.uniform(0.022, 0.036)
    rear, front, ground = (0.24, 1 - r), (0.78, 1 - r), 1 - r
    for x, y in (rear, front):
        s.ring(x, y, r, line, BLACK)
        for i in range(4):
            a = math.pi * i / 4 + rng.uniform(0, 0.7)
            s.limb(
                [(x - r * math.cos(a), y - r * math.sin(a)), (x + r * math.cos(a), y + r * math.sin(a))],
                0.007,
                STEEL,
            )
    crank, seat, head = (0.48, ground + 0.02), (0.4, 0.48), (0.7, 0.46)
    s.limb([rear, seat, crank, rear], line * 1.1, frame)
    s.limb([seat, head, crank], line * 1.2, frame)
    s.limb([front, head, (0.68, 0.36)], line, frame)
    s.limb([seat, (0.385, 0.4)], line, STEEL)
    s.limb([(0.32, 0.395), (0.44, 0.395)], 0.04, BLACK, 0.025)
    s.limb([(0.6, 0.36), (0.7, 0.34), (0.77, 0.38)], line, BLACK)
    s.ring(*crank, 0.05, 0.015, STEEL)
    return s


def bird(rng: random.Random) -> Shape:
    s, feather = Shape(), paint(rng, (0, 1), (0, 0.8), (0.2, 0.95)) if rng.random() < 0.5 else coat(rng)
    wing, beak = shade(feather, rng.uniform(0.5, 0.8)), paint(rng, (0.07, 0.14), (0.6, 0.95), (0.6, 0.95))
    if rng.random() < 0.4:  # in the air
        lift = rng.uniform(-0.35, 0.35)
        s.polygon(
            [(0.36, 0.5), (0.58, 0.5), (0.72, 0.3 - lift / 2), (0.5, 0.04 + abs(lift) / 4), (0.38, 0.28)],
            wing,
        )
        s.polygon([(0.1, 0.5), (-0.02, 0.42), (0.0, 0.58)], wing)
        s.ellipse(0.45, 0.52, 0.36, 0.1, feather, -0.08)
        s.polygon([(0.34, 0.54), (0.6, 0.54), (0.46, 0.98 + lift / 3), (0.2, 0.86)], shade(wing, 0.85))
        s.ellipse(0.8, 0.45, 0.09, 0.08, feather)
        s.polygon([(0.87, 0.42), (1.0, 0.47), (0.87, 0.5)], beak)
        s.ellipse(0.83, 0.43, 0.015, 0.015, BLACK, sides=8)
        return s
    tilt = rng.uniform(-0.6, -0.15)
    s.limb([(0.45, 0.74), (0.47, 0.98)], 0.025, beak)
    s.limb([(0.54, 0.74), (0.56, 0.98)], 0.025, beak)
    s.polygon(
        [(0.28, 0.55), (-0.02, 0.66 + rng.uniform(-0.1, 0.14)), (0.04, 0.78), (0.34, 0.72)], shade(wing, 0.85)
    )
    s.ellipse(0.48, 0.58, 0.28, 0.19, feather, tilt)
    s.ellipse(0.4, 0.6, 0.21, 0.11, wing, tilt + 0.25)
    x, y, r = 0.72, 0.58 + 0.5 * tilt, rng.uniform(0.1, 0.14)
    s.ellipse(x, y, r, r, feather)
    s.polygon(
        [(x + r * 0.7, y - 0.05), (x + r + rng.uniform(0.08, 0.16), y + 0.01), (x + r * 0.7, y + 0.06)], beak
    )
    s.ellipse(x + 0.04, y - 0.03, 0.02, 0.02, BLACK, sides=8)
    return s


def boat(rng: random.Random) -> Shape:
    s, hull = Shape(), any_paint(rng)
    deep = rng.uniform(0.14, 0.22)
    if rng.random() < 0.55:  # under sail
        mast, sail = rng.uniform(0.4, 0.55), paint(rng, (0, 1), (0, 0.35), (0.7, 1))
        s.limb([(mast, 0.02), (mast, 0.85)], 0.022, wood(rng))
        s.polygon([(mast + 0.02, 0.05), (mast + 0.02, 0.72), (0.92, 0.72)], sail)
        s.polygon([(mast - 0.02, 0.12), (mast - 0.02, 0.72), (0.1, 0.72)], shade(sail, 0.88))
    else:
        cabin = paint(rng, (0, 1), (0, 0.25), (0.65, 0.98))
        top = rng.uniform(0.35, 0.5)
        s.box(0.28, top, 0.7, 0.85, cabin)
        s.box(0.24, top - 0.04, 0.74, top + 0.02, shade(hull, 0.7))
        for i in range(3):
            s.box(0.33 + 0.13 * i, top + 0.08, 0.41 + 0.13 * i, top + 0.2, shade(GLASS, 0.6))
        s.box(0.5, top - 0.22, 0.58, top - 0.04, any_paint(rng))
    s.polygon([(-0.02, 1 - deep - 0.05), (1.03, 1 - deep - 0.1), (0.86, 1.0), (0.14, 1.0)], hull)
    s.polygon(
        [(-0.02, 1 - deep - 0.05), (1.03, 1 - deep - 0.1), (1.0, 1 - deep - 0.03), (0.01, 1 - deep)],
        shade(hull, 1.35),
    )
    return s


def bottle(rng: random.Random) -> Shape:
    s = Shape()
    glass = paint(rng, (0.2, 0.62), (0.3, 0.85), (0.25, 0.8)) if rng.random() < 0.7 else any_paint(rng)
    half, neck, shoulder = rng.uniform(0.12, 0.19), rng.uniform(0.04, 0.065), rng.uniform(0.3, 0.45)
    outline = [
        (neck, 0.06),
        (neck, shoulder - 0.12),
        (half * 0.8, shoulder - 0.02),
        (half, shoulder + 0.08),
        (half, 0.97),
        (half * 0.85, 1.0),
    ]
    s.polygon([(0.5 - x, y) for x, y in outline] + [(0.5 + x, y) for x, y in reversed(outline)], glass)
    s.box(0.5 - neck * 1.2, 0.0, 0.5 + neck * 1.2, 0.07, any_paint(rng))
    if rng.random() < 0.8:
        label = paint(rng, (0, 1), (0, 0.5), (0.7, 1))
        s.box(0.5 - half, 0.58, 0.5 + half, rng.uniform(0.75, 0.88), label)
        s.box(0.5 - half * 0.6, 0.64, 0.5 + half * 0.6, 0.68, shade(label, 0.5))
    s.limb([(0.5 - half * 0.6, shoulder + 0.1), (0.5 - half * 0.6, 0.92)], 0.025, shade(glass, 1.6))
    return s


def bus(rng: random.Random) -> Shape:
    s, body = Shape(), any_paint(rng)
    if rng.random() < 0.35:  # from the front
        s.wheel(0.24, 0.93, 0.07)
        s.wheel(0.76, 0.93, 0.07)
        s.box(0.12, 0.06, 0.88, 0.92, body)
        s.box(0.18, 0.2, 0.82, 0.58, GLASS)
        s.box(0.49, 0.2, 0.51, 0.58, shade(body, 0.6))
        s.box(0.25, 0.09, 0.75, 0.17, BLACK)
        for x in (0.22, 0.78):
            s.ellipse(x, 0.76, 0.05, 0.04, (246, 240, 200))
        s.box(0.36, 0.7, 0.64, 0.84, shade(body, 0.5))
        return s
    top, double = rng.uniform(0.26, 0.36), rng.random() < 0.3
    if double:
        top = 0.08
    s.box(0.0, top, 1.0, 0.92, body)
    stripe = any_paint(rng)
    s.box(0.0, 0.72, 1.0, 0.77, stripe)
    for row in (0, 0.3) if double else (0,):
        for i in range(6):
            s.box(0.03 + 0.14 * i, top + 0.06 + row, 0.14 + 0.14 * i, top + 0.26 + row, shade(GLASS, 0.8))
    s.box(0.88, top + 0.06, 0.98, 0.88, shade(GLASS, 0.6))
    for x in (0.2, 0.74):
        s.wheel(x, 0.92, 0.08)
    return s


def car(rng: random.Random) -> Shape:
    s, body = Shape(), any_paint(rng)
    if rng.random() < 0.35:  # from the front
        s.box(0.14, 0.84, 0.28, 1.0, BLACK)
        s.box(0.72, 0.84, 0.86, 1.0, BLACK)
        s.polygon([(0.24, 0.3), (0.76, 0.3), (0.88, 0.58), (0.12, 0.58)], shade(body, 0.8))
        s.polygon([(0.28, 0.34), (0.72, 0.34), (0.81, 0.56), (0.19, 0.56)], GLASS)
        s.box(0.06, 0.56, 0.94, 0.9, body)
        s.box(0.32, 0.66, 0.68, 0.76, BLACK)
        for x in (0.18, 0.82):
            s.ellipse(x, 0.69, 0.07, 0.05, (248, 244, 214))
        return s
    roof, bonnet = rng.uniform(0.36, 0.46), rng.uniform(0.6, 0.66)
    front, back = rng.uniform(0.62, 0.7), rng.uniform(0.16, 0.3)
    s.polygon([(back - 0.12, bonnet), (back, roof), (front, roof), (front + 0.18, bonnet)], shade(body, 0.9))
    s.polygon(
        [(back - 0.06, bonnet), (back + 0.03, roof + 0.04), (0.45, roof + 0.04), (0.45, bonnet)],
        shade(GLASS, 0.7),
    )
    s.polygon(
        [(0.48, bonnet), (0.48, roof + 0.04), (front - 0.01, roof + 0.04), (front + 0.12, bonnet)],
        shade(GLASS, 0.8),
    )
    s.polygon(
        [
            (0.0, bonnet + 0.03),
            (0.06, bonnet - 0.02),
            (0.9, bonnet),
            (1.0, bonnet + 0.1),
            (1.0, 0.88),
            (0.0, 0.88),
        ],
        body,
    )
    s.box(0.94, bonnet + 0.1, 1.0, bonnet + 0.16, (250, 240, 190))
    s.box(0.0, bonnet + 0.08, 0.04, bonnet + 0.14, (190, 30, 30))
    for x in (0.21, 0.79):
        s.wheel(x, 0.88, rng.uniform(0.095, 0.12))
    return s


def cat(rng: random.Random) -> Shape:
    s, fur = Shape(), coat(rng)
    dark = shade(fur, 0.62)
    if rng.random() < 0.5:  # sitting
        hx, hy, r = 0.5, 0.27, rng.uniform(0.16, 0.2)
        s.limb([(0.66, 0.93), (0.9, 0.9), (0.98, 0.66), (0.9, 0.5)], 0.07, dark, 0.05)
        s.ellipse(0.5, 0.72, 0.24, 0.3, fur)
        for x in (0.42, 0.58):
            s.limb([(x, 0.66), (x, 0.97)], 0.09, shade(fur, 0.88))
    else:
        hx, hy, r = 0.82, 0.38, rng.uniform(0.13, 0.16)
        _legs(s, rng, (0.22, 0.3, 0.64, 0.72), 0.66, 0.075, fur, 0.1)
        s.limb([(0.16, 0.56), (0.02, 0.42), (0.06, 0.18), (0.0, 0.06)], 0.06, dark, 0.045)
        s.ellipse(0.45, 0.58, 0.34, 0.15, fur)
        if rng.random() < 0.5:
            for i in range(4):
                s.limb([(0.25 + 0.1 * i, 0.46), (0.27 + 0.1 * i, 0.62)], 0.03, dark)
    s.ellipse(hx, hy, r * 1.1, r, fur)
    for side in (-1, 1):
        s.polygon(
            [
                (hx + side * r * 0.25, hy - r * 0.8),
                (hx + side * r * 0.85, hy - r * 1.75),
                (hx + side * r * 1.05, hy - r * 0.3),
            ],
            dark,
        )
        s.ellipse(hx + side * r * 0.42, hy - r * 0.1, r * 0.17, r * 0.2, (196, 206, 84))
        s.ellipse(hx + side * r * 0.42, hy - r * 0.1, r * 0.06, r * 0.18, BLACK, sides=8)
        for lift in (-0.1, 0.15):
            s.limb(
                [(hx + side * r * 0.3, hy + r * 0.4), (hx + side * r * 1.5, hy + r * (0.4 + lift))],
                0.008,
                (235, 235, 235),
            )
    s.ellipse(hx, hy + r * 0.32, r * 0.14, r * 0.1, (196, 110, 110), sides=10)
    return s


def chair(rng: random.Random) -> Shape:
    s = Shape()
    frame = wood(rng) if rng.random() < 0.6 else any_paint(rng)
    seat = any_paint(rng) if rng.random() < 0.5 else shade(frame, 1.15)
    depth, y, leg = rng.uniform(0.14, 0.24), rng.uniform(0.54, 0.62), rng.uniform(0.045, 0.07)
    left, right = 0.2, 0.78
    s.limb([(left + depth, y), (left + depth, 0.9)], leg, shade(frame, 0.6))
    s.limb([(right + 0.08, y), (right + 0.08, 0.9)], leg, shade(frame, 0.6))
    back = rng.uniform(-0.02, 0.08)
    s.limb([(left + depth, y), (left + depth - back, 0.04)], leg, frame)
    s.limb([(right + 0.08, y), (right + 0.08 - back, 0.04)], leg, frame)
    if rng.random() < 0.5:
        for i in range(3):
            s.limb(
                [(left + depth - back, 0.08 + 0.14 * i), (right + 0.08 - back, 0.08 + 0.14 * i)],
                leg * 0.9,
                shade(frame, 0.9),
            )
    else:
        s.polygon(
            [
                (left + depth - back, 0.06),
                (right + 0.08 - back, 0.06),
                (right + 0.08, y - 0.1),
                (left + depth, y - 0.1),
            ],
            seat,
        )
    s.polygon([(left, y + 0.1), (left + depth, y - 0.02), (right + 0.1, y - 0.02), (right, y + 0.1)], seat)
    s.box(left, y + 0.1, right, y + 0.15, shade(seat, 0.7))
    s.limb([(left + 0.03, y + 0.13), (left, 0.98)], leg, frame)
    s.limb([(right - 0.03, y + 0.13), (right, 0.98)], leg, frame)
    return s


def cow(rng: random.Random) -> Shape:
    s, hide = Shape(), coat(rng)
    patch = shade(hide, 0.4) if sum(hide) > 380 else (228, 222, 214)
    _legs(s, rng, (0.17, 0.27, 0.6, 0.7), 0.64, 0.095, hide, 0.05)
    s.limb([(0.1, 0.4), (0.04, 0.7)], 0.022, shade(hide, 0.7))
    s.ellipse(0.04, 0.73, 0.025, 0.05, BLACK, sides=10)
    s.polygon([(0.1, 0.34), (0.78, 0.32), (0.82, 0.62), (0.7, 0.72), (0.24, 0.74), (0.1, 0.64)], hide)
    s.ellipse(0.28, 0.75, 0.07, 0.05, (222, 160, 150))
    for _ in range(rng.randint(0, 4)):
        s.ellipse(
            rng.uniform(0.2, 0.7),
            rng.uniform(0.4, 0.62),
            rng.uniform(0.05, 0.11),
            rng.uniform(0.04, 0.09),
            patch,
            rng.uniform(0, 3),
        )
    down = rng.choice((0.0, 0.0, 0.3))
    s.polygon([(0.7, 0.34), (0.84, 0.3 + down), (0.86, 0.48 + down), (0.74, 0.62)], hide)
    s.ellipse(0.88, 0.38 + down, 0.1, 0.11, hide, 0.5)
    s.ellipse(0.94, 0.46 + down, 0.07, 0.06, (214, 160, 150), 0.5)
    s.ellipse(0.78, 0.32 + down, 0.07, 0.03, shade(hide, 0.7), -0.4)
    s.limb([(0.84, 0.28 + down), (0.82, 0.18 + down), (0.87, 0.13 + down)], 0.028, (230, 222, 196), 0.012)
    s.limb([(0.91, 0.28 + down), (0.95, 0.19 + down), (0.92, 0.13 + down)], 0.028, (230, 222, 196), 0.012)
    s.ellipse(0.89, 0.35 + down, 0.015, 0.018, BLACK, sides=8)
    return s


def diningtable(rng: random.Random) -> Shape:
    s, top = Shape(), wood(rng) if rng.random() < 0.7 else any_paint(rng)
    y, leg = rng.uniform(0.36, 0.46), rng.uniform(0.045, 0.07)
    if rng.random() < 0.4:  # round, on one foot
        s.limb([(0.5, y), (0.5, 0.9)], leg * 1.6, shade(top, 0.6))
        s.ellipse(0.5, 0.94, 0.2, 0.05, shade(top, 0.55))
        s.ellipse(0.5, y + 0.05, 0.5, 0.15, shade(top, 0.65))
        s.ellipse(0.5, y, 0.5, 0.15, top)
    else:
        inset = rng.uniform(0.1, 0.2)
        for x in (inset + 0.06, 0.94 - inset):
            s.limb([(x, y), (x, 0.84)], leg, shade(top, 0.5))
        for x in (0.05, 0.95):
            s.limb([(x, y + 0.1), (x, 0.99)], leg, shade(top, 0.75))
        s.polygon([(inset, y - 0.12), (1 - inset, y - 0.12), (1.0, y + 0.1), (0.0, y + 0.1)], top)
        s.box(0.0, y + 0.1, 1.0, y + 0.16, shade(top, 0.7))
    for _ in range(rng.randint(0, 4)):
        x, v = rng.uniform(0.25, 0.75), y - rng.uniform(-0.04, 0.08)
        s.ellipse(x, v, 0.08, 0.028, (236, 234, 230))
        s.ellipse(x, v, 0.05, 0.016, any_paint(rng))
    return s


def dog(rng: random.Random) -> Shape:
    s, fur = Shape(), coat(rng)
    ear = shade(fur, rng.uniform(0.5, 0.75))
    if rng.random() < 0.35:  # sitting, from the side
        s.limb([(0.28, 0.92), (0.08, 0.84), (0.02, 0.66)], 0.06, fur, 0.04)
        s.polygon([(0.24, 0.96), (0.26, 0.7), (0.46, 0.4), (0.64, 0.44), (0.66, 0.7), (0.6, 0.96)], fur)
        s.ellipse(0.36, 0.82, 0.17, 0.15, shade(fur, 0.85))
        s.limb([(0.6, 0.56), (0.64, 0.97)], 0.09, fur)
        hx, hy = 0.62, 0.28
    else:
        _legs(s, rng, (0.2, 0.28, 0.6, 0.68), 0.62, 0.085, fur, 0.12)
        lift = rng.uniform(-0.25, 0.1)
        s.limb([(0.16, 0.48), (0.04, 0.36 + lift / 2), (0.0, 0.2 + lift)], 0.055, fur, 0.03)
        s.polygon(
            [(0.14, 0.46), (0.3, 0.42), (0.7, 0.42), (0.74, 0.66), (0.56, 0.72), (0.36, 0.64), (0.16, 0.66)],
            fur,
        )
        s.limb([(0.66, 0.5), (0.78, 0.34)], 0.17, fur)
        hx, hy = 0.8, 0.3
    if rng.random() < 0.4:
        s.ellipse(0.42, 0.56, 0.1, 0.07, shade(fur, 0.55), 0.2)
    s.ellipse(hx, hy, 0.13, 0.12, fur)
    s.limb([(hx + 0.06, hy + 0.03), (hx + rng.uniform(0.18, 0.24), hy + 0.07)], 0.11, shade(fur, 1.1), 0.08)
    s.ellipse(hx + 0.24, hy + 0.04, 0.028, 0.024, BLACK, sides=10)
    s.ellipse(hx + 0.06, hy - 0.04, 0.018, 0.018, BLACK, sides=8)
    if rng.random() < 0.7:
        s.ellipse(hx - 0.07, hy + 0.04, 0.055, 0.13, ear, 0.25)
    else:
        s.polygon([(hx - 0.1, hy - 0.04), (hx - 0.06, hy - 0.2), (hx + 0.02, hy - 0.08)], ear)
    if rng.random() < 0.4:
        s.limb([(hx + 0.18, hy + 0.12), (hx + 0.19, hy + 0.19)], 0.04, (214, 96, 104))
    return s


def horse(rng: random.Random) -> Shape:
    s, hide = Shape(), coat(rng)
    mane = shade(hide, 0.35) if sum(hide) < 500 else (196, 186, 168)
    _legs(s, rng, (0.18, 0.26, 0.58, 0.66), 0.56, 0.065, hide, 0.16)
    s.limb([(0.12, 0.38), (0.03, 0.5), (0.04, 0.76)], 0.075, mane, 0.03)
    s.polygon(
        [
            (0.1, 0.38),
            (0.2, 0.33),
            (0.44, 0.37),
            (0.68, 0.33),
            (0.73, 0.48),
            (0.66, 0.6),
            (0.4, 0.61),
            (0.2, 0.6),
            (0.11, 0.5),
        ],
        hide,
    )
    nod = rng.choice((0.0, 0.06, 0.42))
    hx, hy = (0.82, 0.12 + nod) if nod < 0.3 else (0.9, 0.6)
    s.limb([(0.67, 0.42), (hx, hy)], 0.2, hide, 0.1)
    s.limb([(0.6, 0.34), (hx - 0.07, hy - 0.01)], 0.06, mane, 0.05)
    s.limb([(hx - 0.01, hy), (hx + 0.14, hy + 0.15)], 0.11, hide, 0.07)
    s.polygon([(hx - 0.03, hy - 0.04), (hx - 0.01, hy - 0.14), (hx + 0.04, hy - 0.03)], shade(hide, 0.8))
    s.ellipse(hx + 0.04, hy + 0.03, 0.014, 0.014, BLACK, sides=8)
    if rng.random() < 0.35:  # a saddle
        s.polygon([(0.36, 0.34), (0.54, 0.34), (0.52, 0.5), (0.38, 0.5)], any_paint(rng))
    return s


def motorbike(rng: random.Random) -> Shape:
    s, tank = Shape(), any_paint(rng)
    r = rng.uniform(0.17, 0.21)
    rear, front, y = 0.21, 0.8, 1 - r
    for x in (rear, front):
        s.ring(x, y, r - 0.03, 0.07, BLACK)
        s.ellipse(x, y, r * 0.4, r * 0.4, STEEL)
    s.limb([(front, y), (0.68, 0.4)], 0.045, STEEL)
    s.polygon([(0.3, 0.66), (0.62, 0.62), (0.6, 0.86), (0.38, 0.88)], shade(STEEL, 0.55))
    s.limb([(0.46, 0.88), (0.12, 0.84)], 0.055, shade(STEEL, 1.2), 0.075)
    s.polygon([(0.12, 0.58), (0.2, 0.52), (0.44, 0.56), (0.46, 0.66), (0.22, 0.66)], BLACK)
    s.ellipse(0.54, 0.53, 0.15, 0.1, tank, -0.1)
    s.polygon([(0.2, 0.64), (0.64, 0.58), (0.56, 0.72), (0.3, 0.74)], shade(tank, 0.75))
    s.limb([(0.58, 0.37), (0.69, 0.36)], 0.03, BLACK)
    s.ellipse(0.73, 0.47, 0.06, 0.06, (244, 238, 200))
    s.polygon([(0.64, 0.76), (0.7, 0.7), (0.92, 0.72), (0.97, 0.78)], shade(tank, 0.9))
    if rng.random() < 0.4:
        s.polygon([(0.68, 0.4), (0.72, 0.22), (0.78, 0.44)], GLASS)
    return s


def person(rng: random.Random) -> Shape:
    s, face, shirt, trousers = Shape(), skin(rng), any_paint(rng), any_paint(rng)
    hair = coat(rng)
    wide, hip = rng.uniform(0.12, 0.17), rng.uniform(0.52, 0.58)
    stride, shoe = rng.uniform(0.02, 0.2), shade(trousers, 0.4)
    skirt = rng.random() < 0.25
    for side in (-1, 1):
        foot = 0.5 + side * (0.06 + stride * 0.6)
        s.limb(
            [(0.5 + side * 0.06, hip), (0.5 + side * (0.06 + stride * 0.5), 0.76), (foot, 0.96)],
            0.1,
            face if skirt else shade(trousers, 1 - 0.1 * side),
            0.07,
        )
        s.limb([(foot, 0.975), (foot + 0.06, 0.975)], 0.045, shoe)
    if skirt:
        s.polygon(
            [
                (0.5 - wide * 0.7, hip - 0.08),
                (0.5 + wide * 0.7, hip - 0.08),
                (0.5 + wide * 1.5, 0.74),
                (0.5 - wide * 1.5, 0.74),
            ],
            trousers,
        )
    for side in (-1, 1):
        raised = rng.random() < 0.25
        elbow = (0.5 + side * (wide + 0.08), 0.26 if raised else 0.42)
        hand = (0.5 + side * (wide + rng.uniform(0.0, 0.18)), 0.1 if raised else rng.uniform(0.42, 0.56))
        s.limb([(0.5 + side * wide * 0.9, 0.28), elbow], 0.075, shade(shirt, 0.85))
        s.limb([elbow, hand], 0.055, face)
    s.polygon(
        [(0.5 - wide, 0.24), (0.5 + wide, 0.24), (0.5 + wide * 0.8, hip), (0.5 - wide * 0.8, hip)], shirt
    )
    s.limb([(0.5, 0.16), (0.5, 0.25)], 0.07, shade(face, 0.85))
    s.ellipse(0.5, 0.11, 0.08, 0.1, face)
    if rng.random() < 0.3:
        s.ellipse(0.5, 0.12, 0.1, 0.13, hair)
        s.ellipse(0.5, 0.13, 0.07, 0.08, face)
    s.polygon([(0.415, 0.1), (0.43, 0.02), (0.5, -0.01), (0.57, 0.02), (0.585, 0.1), (0.5, 0.055)], hair)
    return s


def pottedplant(rng: random.Random) -> Shape:
    s = Shape()
    pot = paint(rng, (0.02, 0.07), (0.4, 0.8), (0.45, 0.8)) if rng.random() < 0.6 else any_paint(rng)
    leaf = paint(rng, (0.22, 0.42), (0.35, 0.9), (0.25, 0.7))
    rim = rng.uniform(0.62, 0.74)
    for _ in range(rng.randint(6, 13)):
        a, reach = rng.uniform(-1.3, 1.3), rng.uniform(0.3, 0.68)
        x, y = 0.5 + reach * math.sin(a) * 0.75, rim - reach * math.cos(a)
        tone = shade(leaf, rng.uniform(0.7, 1.3))
        s.limb([(0.5, rim), (x, y)], 0.018, shade(leaf, 0.6))
        s.ellipse(
            (x + 0.5) / 2 + (x - 0.5) * 0.25,
            (y + rim) / 2 + (y - rim) * 0.25,
            reach * 0.34,
            rng.uniform(0.04, 0.08),
            tone,
            a - math.pi / 2,
        )
    if rng.random() < 0.35:
        flower = paint(rng, (0.8, 1.15), (0.5, 0.95), (0.7, 1))
        for _ in range(5):
            s.ellipse(0.5 + rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.5), 0.05, 0.05, flower, sides=8)
    s.polygon([(0.3, rim), (0.7, rim), (0.63, 1.0), (0.37, 1.0)], pot)
    s.box(0.27, rim - 0.03, 0.73, rim + 0.05, shade(pot, 0.85))
    return s


def sheep(rng: random.Random) -> Shape:
    s, wool = Shape(), paint(rng, (0.08, 0.15), (0.02, 0.2), (0.65, 0.97))
    face = shade(wool, rng.choice((0.25, 0.85)))
    _legs(s, rng, (0.26, 0.36, 0.6, 0.7), 0.7, 0.055, shade(face, 0.9), 0.05)
    for i in range(14):
        a = 2 * math.pi * i / 14
        s.ellipse(
            0.47 + 0.3 * math.cos(a),
            0.54 + 0.17 * math.sin(a),
            0.1,
            0.09,
            shade(wool, rng.uniform(0.82, 1.05)),
            sides=12,
        )
    s.ellipse(0.47, 0.54, 0.32, 0.2, wool)
    for _ in range(10):
        s.ellipse(
            0.47 + rng.uniform(-0.26, 0.26),
            0.54 + rng.uniform(-0.14, 0.14),
            0.05,
            0.04,
            shade(wool, rng.uniform(0.85, 1.0)),
            sides=10,
        )
    hx, hy = 0.83, rng.choice((0.4, 0.46, 0.72))
    s.ellipse(hx - 0.1, hy + 0.06, 0.11, 0.11, wool)
    s.ellipse(hx, hy, 0.085, 0.13, face, -0.7)
    s.ellipse(hx - 0.08, hy - 0.03, 0.07, 0.03, shade(face, 0.8), 0.5)
    s.ellipse(hx - 0.06, hy - 0.09, 0.07, 0.055, wool, sides=10)
    s.ellipse(hx + 0.02, hy - 0.03, 0.014, 0.014, (235, 220, 120), sides=8)
    return s


def sofa(rng: random.Random) -> Shape:
    s, cloth = Shape(), any_paint(rng)
    back, arm = rng.uniform(0.22, 0.34), rng.uniform(0.1, 0.15)
    s.box(0.05, 0.92, 0.1, 1.0, BLACK)
    s.box(0.9, 0.92, 0.95, 1.0, BLACK)
    s.box(0.05, back, 0.95, 0.7, shade(cloth, 0.8))
    cushions = rng.randint(2, 3)
    width = (1 - 2 * arm) / cushions
    for i in range(cushions):
        left = arm + i * width
        s.box(left + 0.01, back + 0.04, left + width - 0.01, 0.6, shade(cloth, 0.95))
        s.box(left + 0.005, 0.58, left + width - 0.005, 0.76, shade(cloth, 1.15))
    s.box(arm - 0.02, 0.74, 1 - arm + 0.02, 0.94, shade(cloth, 0.7))
    for x in (arm / 2, 1 - arm / 2):
        s.box(x - arm / 2, 0.5, x + arm / 2, 0.94, cloth)
        s.ellipse(x, 0.5, arm / 2 + 0.015, 0.06, shade(cloth, 1.1))
    for _ in range(rng.randint(0, 2)):
        x, a = rng.uniform(0.25, 0.75), rng.uniform(-0.4, 0.4)
        pillow = any_paint(rng)
        ring = [(-0.09, -0.09), (0.09, -0.09), (0.09, 0.09), (-0.09, 0.09)]
        s.polygon(
            [
                (x + u * math.cos(a) - v * math.sin(a), 0.5 + u * math.sin(a) + v * math.cos(a))
                for u, v in ring
            ],
            pillow,
        )
    return s


def train(rng: random.Random) -> Shape:
    s, body, stripe = Shape(), any_paint(rng), any_paint(rng)
    s.limb([(-0.05, 0.985), (1.05, 0.985)], 0.02, shade(STEEL, 0.6))
    top = rng.uniform(0.42, 0.52)
    if rng.random() < 0.4:  # steam
        s.box(0.04, top - 0.1, 0.3, 0.86, body)
        s.box(0.0, top - 0.15, 0.34, top - 0.1, shade(body, 0.6))
        s.box(0.1, top - 0.03, 0.24, top + 0.12, GLASS)
        s.box(0.3, top + 0.06, 0.92, 0.82, shade(body, 0.8))
        s.ellipse(0.92, (top + 0.88) / 2, 0.06, (0.76 - top) / 2, BLACK)
        s.polygon([(0.76, top + 0.07), (0.74, top - 0.18), (0.87, top - 0.18), (0.84, top + 0.07)], BLACK)
        for i in range(3):
            s.ellipse(0.74 - 0.14 * i, top - 0.24 - 0.05 * i, 0.08 + 0.02 * i, 0.06, (206, 206, 208))
        s.polygon([(0.9, 0.82), (1.05, 0.97), (0.86, 0.97)], stripe)
        for x in (0.14, 0.36, 0.58, 0.8):
            s.wheel(x, 0.88, 0.09, stripe)
        s.limb([(0.14, 0.88), (0.8, 0.88)], 0.025, STEEL)
        return s
    nose = rng.uniform(0.06, 0.22)
    s.polygon([(-0.05, top), (1 - nose, top), (1.0, 0.78), (1.0, 0.9), (-0.05, 0.9)], body)
    s.polygon([(-0.05, 0.72), (0.98, 0.72), (1.0, 0.78), (-0.05, 0.78)], stripe)
    for i in range(8):
        s.box(0.0 + 0.1 * i, top + 0.07, 0.07 + 0.1 * i, top + 0.17, shade(GLASS, 0.5))
    s.polygon(
        [
            (1 - nose - 0.06, top + 0.04),
            (1 - nose + 0.01, top + 0.04),
            (0.97 - nose / 4, top + 0.2),
            (0.86, top + 0.2),
        ],
        shade(GLASS, 0.7),
    )
    for joint in (0.3, 0.64):
        s.box(joint - 0.006, top, joint + 0.006, 0.92, BLACK)
    s.limb(
        [(0.2, top), (0.3, top - 0.12), (0.22, top - 0.2), (0.14, top - 0.2), (0.32, top - 0.2)], 0.015, BLACK
    )
    for x in (0.05, 0.14, 0.26, 0.36, 0.58, 0.7, 0.82, 0.9):
        s.wheel(x, 0.94, 0.038)
    return s


def tvmonitor(rng: random.Random) -> Shape:
    s, case = Shape(), paint(rng, (0, 1), (0, 0.1), (0.1, 0.8))
    low, edge = rng.uniform(0.68, 0.76), rng.uniform(0.03, 0.07)
    if rng.random() < 0.7:
        s.polygon([(0.44, low), (0.56, low), (0.58, 0.95), (0.42, 0.95)], shade(case, 0.7))
        s.ellipse(0.5, 0.96, rng.uniform(0.16, 0.28), 0.035, shade(case, 0.85))
    else:
        s.box(0.18, low, 0.26, 1.0, shade(case, 0.6))
        s.box(0.74, low, 0.82, 1.0, shade(case, 0.6))
    s.box(0.0, 0.1, 1.0, low, case)
    glow = paint(rng, (0.45, 0.75), (0.1, 0.8), (0.15, 0.95)) if rng.random() < 0.6 else any_paint(rng)
    s.box(edge, 0.1 + edge, 1 - edge, low - edge, glow)
    s.polygon(
        [(edge, 0.1 + edge), (0.42, 0.1 + edge), (0.2, low - edge), (edge, low - edge)], shade(glow, 1.2)
    )
    for _ in range(rng.randint(0, 4)):
        x, y = rng.uniform(0.12, 0.6), rng.uniform(0.2, low - 0.26)
        s.box(x, y, x + rng.uniform(0.1, 0.28), y + rng.uniform(0.03, 0.14), any_paint(rng))
    s.ellipse(0.94, low - edge / 2, 0.012, 0.012, (90, 220, 90), sides=8)
    return s


SHAPES: dict[str, Callable[[random.Random], Shape]] = {
    draw.__name__: draw
    for draw in (
        aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow,
        diningtable, dog, horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor,
    )
}  # fmt: skip

"""The embedded sample: a devkit in VOC's layout, drawn by the program itself.

Scenes of one to four objects stand in for PASCAL VOC (splits train, val, trainval, test); single objects on
plain grounds (split source) are the other task on which a network can be trained first, in place of ImageNet.
"""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ..errors import UserError
from ..files.atomic import whole_folder
from ..machine import cores
from ..params import Sample
from ..progress import progress
from .ground import mottle, plain_ground, scene_ground
from .shapes import SHAPES, Shape

CLASSES = tuple(SHAPES)
SPLITS = ("train", "val", "test", "source")
STAMP = "sample.json"
VERSION = 1  # of the drawing: raise it with every change that changes a pixel

# Below these an object counts as difficult: the share of the image that it covers, and of itself that shows.
MIN_AREA, MIN_SHOWN = 0.012, 0.4
HIDDEN = 0.12  # what shows less than this is not annotated at all
_OVERSAMPLING = 2

# Where the classes live: objects keep company, and the ground hints at them, as in photographs.
_SCENES: dict[str, tuple[str, ...]] = {
    "street": ("bicycle", "bus", "car", "motorbike", "person", "train", "car", "person", "dog"),
    "room": ("bottle", "chair", "diningtable", "person", "pottedplant", "sofa", "tvmonitor", "cat", "dog"),
    "field": ("bird", "cow", "dog", "horse", "sheep", "person", "cat", "horse"),
    "water": ("boat", "person", "bird", "boat"),
    "sky": ("aeroplane", "bird", "aeroplane"),
}
# how long the objects are beside each other, before chance has its say; the others: 1
_LENGTHS = {
    "aeroplane": 1.1,
    "bus": 1.15,
    "train": 1.2,
    "sofa": 1.05,
    "bottle": 0.75,
    "bird": 0.75,
    "cat": 0.85,
}


@dataclasses.dataclass(frozen=True)
class Box:
    """An annotated object; corners count from 1 and belong to it, as in VOC."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    truncated: bool
    difficult: bool


@dataclasses.dataclass(frozen=True)
class _Sprite:
    """A drawn object with its mask; `left`, `top` say where it goes relative to the object's centre."""

    name: str
    image: Image.Image
    mask: Image.Image
    left: int
    top: int


def draw_devkit(root: Path | str, sample: Sample) -> None:
    """Draw the sample into `root`; if it is there already, do nothing.

    The devkit is drawn beside `root` and renamed when it is whole. Each image has a seed of its own, from
    `sample.seed`, its split and its number: more images of one split leave all others as they are.

    Raises
    ------
    UserError
        If `root` holds something that this function did not draw.
    """
    root = Path(root)
    stamp = json.dumps({"version": VERSION, **_counts(sample), "seed": sample.seed}, sort_keys=True) + "\n"
    stamp_file = root / STAMP
    if stamp_file.is_file() and stamp_file.read_text(encoding="utf-8") == stamp:
        return
    if root.is_dir() and any(root.iterdir()) and not stamp_file.is_file():
        raise UserError(
            f"dataset.root: {root} holds files that are not the drawn sample; "
            "move them away, or set dataset.sample: null to use them"
        )
    with whole_folder(root) as unfinished:
        _draw_all(unfinished, sample)
        (unfinished / STAMP).write_text(stamp, encoding="utf-8")


def _counts(sample: Sample) -> dict[str, int]:
    return {split: getattr(sample, split) for split in SPLITS}


def _draw_all(root: Path, sample: Sample) -> None:
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    tasks = [
        (root, sample.seed, split, number)
        for split, count in _counts(sample).items()
        for number in range(1, count + 1)
    ]
    boxes: dict[str, list[Box]] = {}
    # spawn: a fork of a process whose libraries have threads may hang
    with ProcessPoolExecutor(
        cores(), multiprocessing.get_context("spawn")
    ) as pool, progress(total=len(tasks), desc="drawing the sample", unit="image") as bar:  # fmt: skip
        for image_id, found in pool.map(_draw_files, tasks, chunksize=20):
            boxes[image_id] = found
            bar.update()
    lists = {split: [i for i in boxes if i.startswith(f"{split}_")] for split in SPLITS}
    lists["trainval"] = lists["train"] + lists["val"]
    for split, ids in lists.items():
        _write_lists(root / "ImageSets/Main", split, ids, boxes)


def _draw_files(task: tuple[Path, int, str, int]) -> tuple[str, list[Box]]:
    root, seed, split, number = task
    image_id = f"{split}_{number:06d}"
    image, boxes = draw_image(seed, split, number)
    image.save(root / "JPEGImages" / f"{image_id}.jpg", quality=88, subsampling=2)
    annotation = _annotation(image_id, image.size, boxes)
    (root / "Annotations" / f"{image_id}.xml").write_text(annotation, encoding="utf-8")
    return image_id, boxes


def _write_lists(folder: Path, split: str, ids: list[str], boxes: dict[str, list[Box]]) -> None:
    (folder / f"{split}.txt").write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
    for name in CLASSES:
        lines = []
        for image_id in ids:
            difficult = [box.difficult for box in boxes[image_id] if box.name == name]
            label = -1 if not difficult else 0 if all(difficult) else 1
            lines.append(f"{image_id} {label:2d}\n")
        (folder / f"{name}_{split}.txt").write_text("".join(lines), encoding="utf-8")


def _annotation(image_id: str, size: tuple[int, int], boxes: list[Box]) -> str:
    objects = "".join(
        f"\t<object>\n\t\t<name>{b.name}</name>\n\t\t<pose>Unspecified</pose>\n"
        f"\t\t<truncated>{b.truncated:d}</truncated>\n\t\t<difficult>{b.difficult:d}</difficult>\n"
        f"\t\t<bndbox>\n\t\t\t<xmin>{b.xmin}</xmin>\n\t\t\t<ymin>{b.ymin}</ymin>\n"
        f"\t\t\t<xmax>{b.xmax}</xmax>\n\t\t\t<ymax>{b.ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for b in boxes
    )
    return (
        f"<annotation>\n\t<folder>sample</folder>\n\t<filename>{image_id}.jpg</filename>\n"
        f"\t<source>\n\t\t<database>drawn by Pool5</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{size[0]}</width>\n\t\t<height>{size[1]}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def draw_image(seed: int, split: str, number: int) -> tuple[Image.Image, list[Box]]:
    """Draw one image of a split, and say what is in it.

    Every image shows at least one object that is not difficult.
    """
    rng = random.Random(f"{seed}/{split}/{number}")
    noise = np.random.default_rng([seed, SPLITS.index(split), number])
    size = _size(rng)
    first = _first_class(seed, split, number)
    if split == "source":
        canvas = plain_ground(rng, noise, size)
        sprites = [_sprite(rng, noise, first, rng.uniform(0.5, 0.95) * min(size))]
    else:
        homes = [scene for scene, names in _SCENES.items() if first in names]
        scene = rng.choice(homes) if rng.random() < 0.8 else rng.choice(list(_SCENES))
        canvas = scene_ground(rng, noise, size, scene)
        sprites = [
            _sprite(rng, noise, name, length * min(size))
            for name, length in zip(*_cast(rng, first, scene), strict=True)
        ]
    places, order = _arrange(rng, size, sprites, spread=0.08 if split == "source" else 0.32)
    for i in order:
        canvas.paste(sprites[i].image, places[i], sprites[i].mask)
    return _photograph(rng, noise, canvas), _annotate(size, sprites, places, order)


def _size(rng: random.Random) -> tuple[int, int]:
    """Most are landscape, as in VOC; 200 to 500 pixels a side."""
    long = rng.randint(300, 480)
    short = max(200, round(long / rng.choice((4 / 3, 4 / 3, 4 / 3, 3 / 2, 1.0, 1.15))))
    return (long, short) if rng.random() < 0.75 else (short, long)


def _first_class(seed: int, split: str, number: int) -> str:
    """Every run of twenty images has each class once as its first object, in an order of its own."""
    block, place = divmod(number - 1, len(CLASSES))
    order = list(CLASSES)
    random.Random(f"{seed}/{split}/block {block}").shuffle(order)
    return order[place]


def _cast(rng: random.Random, first: str, scene: str) -> tuple[list[str], list[float]]:
    """Which objects a scene shows, and how long they are in units of the image's short side."""
    names, lengths = [first], [rng.uniform(0.4, 0.8)]
    for _ in range(rng.choices((0, 1, 2, 3), (0.36, 0.3, 0.2, 0.14))[0]):
        chance = rng.random()
        if chance < 0.25:
            names.append("person")
        elif chance < 0.4:
            names.append(first)
        else:
            names.append(rng.choice(_SCENES[scene]) if chance < 0.85 else rng.choice(CLASSES))
        lengths.append(rng.uniform(0.07, 0.13) if rng.random() < 0.18 else rng.uniform(0.22, 0.6))
    return names, lengths


def _sprite(rng: random.Random, noise: np.random.Generator, name: str, length: float) -> _Sprite:
    """Draw an object about `length` pixels long, in a pose of its own."""
    length *= _LENGTHS.get(name, 1.0)
    reach = 0.5 if name in ("aeroplane", "bird", "bottle") else 0.22
    angle = rng.uniform(-reach, reach) if rng.random() < 0.75 else rng.uniform(-2 * reach, 2 * reach)
    wide, tall = length * rng.uniform(0.8, 1.15), length * rng.uniform(0.8, 1.15)
    if rng.random() < 0.5:
        wide = -wide
    slant, c, s = rng.uniform(-0.18, 0.18), math.cos(angle), math.sin(angle)
    shape: Shape = SHAPES[name](rng)

    def place(x: float, y: float) -> tuple[float, float]:
        x, y = (x - 0.5 + slant * (y - 0.5)) * wide, (y - 0.5) * tall
        return c * x - s * y, s * x + c * y

    polygons = [([place(x, y) for x, y in points], colour) for points, colour in shape.polygons]
    xs = [x for points, _ in polygons for x, _ in points]
    ys = [y for points, _ in polygons for _, y in points]
    left, top = math.floor(min(xs)) - 1, math.floor(min(ys)) - 1
    width, height = math.ceil(max(xs)) + 1 - left, math.ceil(max(ys)) + 1 - top
    k = _OVERSAMPLING
    image = Image.new("RGB", (width * k, height * k))
    mask = Image.new("L", image.size)
    paint_on, mask_on = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    for points, colour in polygons:
        pixels = [(round((x - left) * k), round((y - top) * k)) for x, y in points]
        paint_on.polygon(pixels, fill=colour)
        mask_on.polygon(pixels, fill=255)
    image, mask = image.reduce(k), mask.reduce(k)
    # light from one side, and a mottled surface
    texture = mottle(noise, image.size, cells=rng.randint(3, 16), low=rng.randint(140, 215))
    return _Sprite(name, ImageChops.multiply(image, texture), mask, left, top)


def _arrange(
    rng: random.Random, size: tuple[int, int], sprites: list[_Sprite], spread: float
) -> tuple[list[tuple[int, int]], list[int]]:
    """Where each sprite goes, and the order of painting; the first object stays easy to see."""
    for attempt in range(8):
        places = []
        for i, sprite in enumerate(sprites):
            away = spread if i == 0 else 0.5
            x = (0.5 + rng.uniform(-away, away)) * size[0]
            y = (0.5 + rng.uniform(-away, away) * 0.8) * size[1]
            places.append((round(x) + sprite.left, round(y) + sprite.top))
        order = list(range(len(sprites)))
        rng.shuffle(order)
        if attempt == 7:  # in front, in the middle: whatever else is there hides nothing of it
            places[0] = (size[0] // 2 + sprites[0].left, size[1] // 2 + sprites[0].top)
            order = [i for i in order if i] + [0]
        if any(not box.difficult for box in _annotate(size, sprites[:1], places[:1], [0])) and any(
            box.name == sprites[0].name and not box.difficult
            for box in _annotate(size, sprites, places, order)
        ):
            break
    return places, order


def _annotate(
    size: tuple[int, int], sprites: list[_Sprite], places: list[tuple[int, int]], order: list[int]
) -> list[Box]:
    """The boxes of what shows, from front to back."""
    width, height = size
    free = np.ones((height, width), dtype=bool)
    boxes = []
    for i in reversed(order):
        sprite, (x, y) = sprites[i], places[i]
        mask = np.asarray(sprite.mask) > 127
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if left >= right or top >= bottom:
            continue
        inside = mask[top - y : bottom - y, left - x : right - x]
        shown = inside & free[top:bottom, left:right]
        free[top:bottom, left:right] &= ~inside
        whole, area = int(mask.sum()), int(shown.sum())
        if area < max(HIDDEN * whole, 40):
            continue
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        boxes.append(
            Box(
                sprite.name,
                left + int(columns[0]) + 1,
                top + int(rows[0]) + 1,
                left + int(columns[-1]) + 1,
                top + int(rows[-1]) + 1,
                truncated=int(inside.sum()) < 0.98 * whole,
                difficult=area < MIN_AREA * width * height or area < MIN_SHOWN * whole,
            )
        )
    return boxes


def _photograph(rng: random.Random, noise: np.random.Generator, canvas: Image.Image) -> Image.Image:
    """What a camera adds: exposure, contrast, a blur now and then, grain."""
    gain, offset = rng.uniform(0.75, 1.25), rng.uniform(-15, 35)
    canvas = canvas.point([max(0, min(255, round(128 + offset + gain * (v - 128)))) for v in range(256)] * 3)
    if rng.random() < 0.4:
        canvas = canvas.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 1.6)))
    grain = rng.randint(3, 20)
    pixels = np.asarray(canvas, dtype=np.int16)
    speckle = noise.integers(-grain, grain + 1, pixels.shape, dtype=np.int8)
    return Image.fromarray(np.clip(pixels + speckle, 0, 255).astype(np.uint8))

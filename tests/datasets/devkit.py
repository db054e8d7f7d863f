"""A small devkit in VOC's layout, written by hand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Objects = Sequence[tuple[str, bool]]  # class, difficult


def write_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90) if path.suffix != ".png" else Image.fromarray(pixels).save(
        path
    )


@contextlib.contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Nobody may read `folder`, not even root, who is somebody else for this long."""
    folder.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


def write_annotation(devkit: Path, image_id: str, objects: Objects) -> None:
    body = "".join(
        f"<object><name>{name}</name><difficult>{difficult:d}</difficult>"
        "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>18</ymax></bndbox></object>"
        for name, difficult in objects
    )
    path = devkit / "Annotations" / f"{image_id}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{image_id}.jpg</filename>{body}</annotation>")


def write_list(devkit: Path, name: str, lines: Sequence[str], end: str = "\n") -> Path:
    path = devkit / "ImageSets/Main" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def write_devkit(
    devkit: Path,
    splits: Mapping[str, Mapping[str, Objects]],
    *,
    class_lists: bool = True,
    classes: Sequence[str] = (),
) -> Path:
    """Images, annotations and lists for `splits`: objects by image by split."""
    names = classes or sorted({n for part in splits.values() for found in part.values() for n, _ in found})
    for split, images in splits.items():
        write_list(devkit, split, list(images))
        for seed, (image_id, objects) in enumerate(images.items()):
            write_image(devkit / "JPEGImages" / f"{image_id}.jpg", hash_of(split) + seed)
            write_annotation(devkit, image_id, objects)
        for name in names if class_lists else ():
            lines = []
            for image_id, objects in images.items():
                difficult = [d for n, d in objects if n == name]
                lines.append(f"{image_id} {-1 if not difficult else 0 if all(difficult) else 1:2d}")
            write_list(devkit, f"{name}_{split}", lines)
    return devkit


def hash_of(text: str) -> int:
    return sum(text.encode()) * 1000

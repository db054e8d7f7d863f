"""Images in a folder a class: `root/<split>/<class>/…`, or `root/<class>/…` without splits."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from ..errors import UserError
from .listing import Listing, did_you_mean

SUFFIXES = frozenset([
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
])  # fmt: skip
TEST_SHARE, VAL_SHARE = 0.2, 0.2  # of a class's images, and of what is then left for training


def list_folder(root: Path | str, train: str, test: str, val: str | None = None) -> dict[str, Listing]:
    """Every split under `root`, by name.

    An image's id is its path from the split's folder (`cat/001.jpg`); it has the one class whose folder it is
    in. Classes are sorted by name, and are the same in all splits.

    Where `root` has no folder named as a split but folders with images, these are the classes, and the splits
    are drawn: a fifth of each class goes to `test`, the rest to `train`, a fifth of which is `val` too. Which
    ones is decided by a hash of their ids, so that the split is the same on every machine.

    Raises
    ------
    UserError
        If a split's folder is missing or holds no images.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"dataset.root: {root}: no such folder; put the data set there, or mend the path in params.yaml"
        )
    folders = [path.name for path in _folders(root)]
    named = list(dict.fromkeys(name for name in (train, test, val) if name))
    if not set(named) & set(folders) and any(
        _is_image(path) for folder in _folders(root) for path in folder.iterdir()
    ):
        return _draw_splits(root, train, test, val)
    for split in named:
        if split not in folders:
            raise UserError(
                f"dataset: {root} has no folder {split}{did_you_mean(split, folders)}; it has: "
                f"{', '.join(folders) or 'none'}. Images belong in {root}/<split>/<class>/"
            )
    found = {split: _images_by_class(root / split) for split in folders}
    for split in named:
        if not any(found[split].values()):
            raise UserError(f"{root / split}: an empty split; images belong in {root / split}/<class>/")
    used = {split: images for split, images in found.items() if any(images.values())}
    classes = tuple(sorted({name for images in used.values() for name in images}))
    return {
        split: _listing(split, classes, [i for name in sorted(images) for i in images[name]], f"{split}/")
        for split, images in used.items()
    }


def _draw_splits(root: Path, train: str, test: str, val: str | None) -> dict[str, Listing]:
    images = {name: ids for name, ids in _images_by_class(root).items() if ids}
    chosen: dict[str, list[str]] = {train: [], test: []}
    if val:
        chosen[val] = []
    for ids in images.values():
        shuffled = sorted(ids, key=lambda i: hashlib.blake2b(i.encode(), digest_size=8).digest())
        held_out = round(TEST_SHARE * len(ids))
        chosen[test] += shuffled[:held_out]
        chosen[train] += shuffled[held_out:]
        if val:
            chosen[val] += shuffled[held_out : held_out + round(VAL_SHARE * (len(ids) - held_out))]
    for split, ids in chosen.items():
        if not ids:
            raise UserError(
                f"dataset: {root} holds too few images to draw the split {split} from: three a class are "
                f"the least; or sort them into {root}/<split>/<class>/ yourself"
            )
    amounts = ", ".join(f"{split} {len(ids)}" for split, ids in chosen.items())
    print(f"{root} has no folders for its splits, so they are drawn: {amounts}", file=sys.stderr)
    return {split: _listing(split, tuple(sorted(images)), sorted(ids), "") for split, ids in chosen.items()}


def _listing(split: str, classes: tuple[str, ...], ids: list[str], prefix: str) -> Listing:
    labels = np.full((len(ids), len(classes)), -1, dtype=np.int8)
    column_of = {name: column for column, name in enumerate(classes)}
    for row, image_id in enumerate(ids):
        labels[row, column_of[image_id.partition("/")[0]]] = 1
    return Listing(split, classes, tuple(ids), tuple(prefix + i for i in ids), labels)


def _images_by_class(folder: Path) -> dict[str, list[str]]:
    """Ids by class, sorted; folders inside a class's folder belong to it."""
    images: dict[str, list[str]] = {}
    for path in _folders(folder):
        images[path.name] = []
        for base, subfolders, names in os.walk(path):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            inside = [Path(base, name) for name in names]
            images[path.name] += [_id(file, folder) for file in inside if _is_image(file)]
        images[path.name].sort()
    return images


def _id(file: Path, folder: Path) -> str:
    image_id = file.relative_to(folder).as_posix()
    if not image_id.isprintable():
        raise UserError(f"{folder}: {image_id!r}: a name with characters that cannot be printed; rename it")
    return image_id


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()

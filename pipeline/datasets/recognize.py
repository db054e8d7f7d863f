"""Which kind of data set a folder holds, seen from its names alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import UserError
from .annotated_images import annotated_images
from .image_tree import SUFFIXES, subfolders
from .table import TABLE, class_columns
from .voc import find_devkit

_TRAIN = ("trainval", "train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")
_LOOK_AT = 100_000  # names; where there are more, the rest is not counted


@dataclasses.dataclass(frozen=True)
class Recognized:
    """A data set, in the words of params.yaml.

    Attributes
    ----------
    kind, train, test : str
    root : Path
    has_labels : bool
    described : str
        What was seen, for people.
    """

    kind: str
    root: Path
    train: str
    test: str
    has_labels: bool
    described: str


def recognize(path: Path) -> Recognized:
    """What `path` holds: VOC's layout, a folder a class with or without splits, images, or a table of them.

    Raises
    ------
    UserError
        If it holds none of these.
    """
    if path.name == TABLE:
        path = path.parent
    if (path / TABLE).is_file():
        labelled = class_columns(path / TABLE)
        described = f"a table, {TABLE}, with {len(labelled)} classes"
        return Recognized("table", path, "train", "test", bool(labelled), described)
    if path.is_file():
        raise UserError(f"{path}: no folder; a table of images is named {TABLE} and lies in their folder")
    if not path.is_dir():
        raise UserError(f"{path}: no such folder of images; give one with --images")
    if (devkit := _devkit(path)) is not None:
        lists = sorted(p.stem for p in (devkit / "ImageSets/Main").glob("*.txt") if "_" not in p.stem)
        train, test = _splits(lists, devkit / "ImageSets/Main")
        return Recognized("voc", path, train, test, True, f"VOC's layout, with the splits {train} and {test}")
    folders = {folder.name: folder for folder in subfolders(path)}
    has_splits = bool(set(folders) & set(_TRAIN) and set(folders) & set(_TEST))
    if count := _annotated(path):
        train, test = _splits(list(folders), path) if has_splits else ("train", "test")
        return Recognized("voc", path, train, test, True, f"{count} images with annotations as VOC has them")
    if has_splits:
        train, test = _splits(list(folders), path)
        classes = len(subfolders(folders[train]))
        described = f"{_count(path)} in the splits {train} and {test}, {classes or 'no'} classes by folder"
        return Recognized("folder" if classes else "images", path, train, test, bool(classes), described)
    filled = [name for name, folder in folders.items() if _count(folder) != "no images"]
    loose = any(_is_image(p) for p in path.iterdir())
    if filled and not loose:
        described = f"{_count(path)} in {len(filled)} folders, which are taken for classes"
        return Recognized("folder", path, "train", "test", True, described)
    if loose:
        return Recognized("images", path, "train", "test", False, f"{_count(path)} without labels")
    raise UserError(f"{path}: no images here; give their folder with --images")


def _devkit(path: Path) -> Path | None:
    try:
        return find_devkit(path)
    except UserError:
        return None


def _annotated(path: Path) -> int:
    """How many images have an annotation of their name; 0 where most have none."""
    try:
        found = annotated_images(path)
    except UserError:
        return 0
    return len(found) if 2 * len(found) > sum(map(_is_image, path.rglob("*"))) else 0


def _splits(names: list[str], where: Path) -> tuple[str, str]:
    """The names to train and to test on; where `val` is all there is to test on, `trainval` would hold it."""
    test = next((name for name in _TEST if name in names), None)
    known = _TRAIN if test in ("test", "testing") else _TRAIN[1:]
    train = next((name for name in known if name in names), None)
    if train is None or test is None:
        raise UserError(f"{where}: no splits to train and to test on; it has {', '.join(names) or 'none'}")
    return train, test


def _count(folder: Path) -> str:
    count = 0
    for number, file in enumerate(folder.rglob("*")):
        if number == _LOOK_AT:
            return f"more than {count} images"
        count += _is_image(file)
    return "no images" if count == 0 else "1 image" if count == 1 else f"{count} images"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")

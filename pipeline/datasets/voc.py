"""Any devkit in VOC's layout: JPEGImages, Annotations, ImageSets/Main."""

from __future__ import annotations

import dataclasses
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.hints import did_you_mean
from ..progress import progress
from .listing import Disagreement, Listing, ObjectBox, refuse_duplicates, refuse_unsafe

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person",
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_LISTS, _ANNOTATIONS, _IMAGES = "ImageSets/Main", "Annotations", "JPEGImages"


def find_devkit(root: Path | str) -> Path:
    """The folder that holds ImageSets/Main: `root` itself, or a year's folder in it or in its VOCdevkit.

    Raises
    ------
    UserError
        If there is none, or more than one.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"dataset.root: {root}: no such folder; put the data set there, or mend the path in params.yaml"
        )
    found = [
        folder
        for folder in (root, *sorted(root.glob("VOCdevkit/VOC*")), *sorted(root.glob("VOC[0-9]*")))
        if (folder / _LISTS).is_dir()
    ]
    if not found:
        raise UserError(
            f"dataset.root: {root}: no VOC devkit; expected {_IMAGES}, {_ANNOTATIONS} and {_LISTS} in it, "
            "in VOCdevkit/VOC2007 or in VOCdevkit/VOC2012"
        )
    if len(found) > 1:
        several = ", ".join(str(folder) for folder in found)
        raise UserError(f"dataset.root: {root} holds more than one devkit; set it to one of {several}")
    return found[0]


def list_voc(root: Path | str, train: str, test: str, val: str | None = None) -> dict[str, Listing]:
    """Every split of the devkit under `root` that has labels, by name.

    Labels come from the class lists in ImageSets/Main where the split has them, else from the annotations:
    1 if a class has an instance that is not difficult, 0 if all its instances are difficult, else -1. Where
    both are there, the lists count, and each contradiction is kept in `Listing.disagreements`.
    The classes are VOC's twenty in their order, or as many of them as there are, or else sorted by name.

    The splits that are named must be there, with images and labels; any other list without them is left out,
    as VOC's own class.txt, which has the form of a split.

    Raises
    ------
    UserError
        One line that names the file, the line or the image at fault.
    """
    devkit = find_devkit(root)
    required = list(dict.fromkeys(split for split in (train, test, val) if split))
    splits = _split_lists(devkit)
    for split in required:
        if split not in splits:
            raise UserError(
                f"{devkit / _LISTS / split}.txt: no such split{did_you_mean(split, splits)}; "
                f"there are: {', '.join(splits) or 'none'}"
            )
    class_files = _class_lists(devkit, splits)
    listed_classes = {name for names in class_files.values() for name in names}
    annotations = _Annotations(devkit, listed_classes)
    wanted = required + [split for split in splits if split not in required]
    parts: dict[str, _Part] = {}
    for split in progress(wanted, desc="reading labels", unit="split"):
        if split in required or split in class_files or not class_files:
            try:
                parts[split] = _read_part(devkit, split, class_files.get(split, {}), annotations)
            except _UnusableSplitError:
                if split in required:
                    raise
    names = listed_classes or {box.name for part in parts.values() for box in part.objects}
    if not names:
        raise UserError(
            f"{devkit}: neither class lists nor annotated objects; to do without, set dataset.kind: images"
        )
    classes = in_order(names)
    folder = os.path.relpath(devkit, root)
    files = _image_files(devkit)
    return {
        split: Listing(
            split=split,
            classes=classes,
            ids=part.ids,
            paths=tuple(os.path.normpath(f"{folder}/{_IMAGES}/{files.get(i, f'{i}.jpg')}") for i in part.ids),
            labels=part.labels(classes),
            objects=part.objects,
            disagreements=part.disagreements(classes),
        )
        for split, part in parts.items()
    }


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """VOC's classes in VOC's order; if there is any other among them, all by name."""
    names = set(names)
    if names <= set(VOC_CLASSES):
        return tuple(name for name in VOC_CLASSES if name in names)
    return tuple(sorted(names))


class _UnusableSplitError(UserError):
    """A split that cannot be used, which matters only if somebody asked for it."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """A split's ids, with what the class lists and the annotations say."""

    ids: tuple[str, ...]
    listed: dict[str, np.ndarray]  # a class's column of labels
    objects: tuple[ObjectBox, ...]
    annotated: frozenset[str]  # the ids that have an annotation

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        labels = self._from_objects(classes)
        for column, name in enumerate(classes):
            if name in self.listed:
                labels[:, column] = self.listed[name]
        return labels

    def disagreements(self, classes: Sequence[str]) -> tuple[Disagreement, ...]:
        seen = self._from_objects(classes)
        return tuple(
            Disagreement(self.ids[row], name, int(self.listed[name][row]), int(seen[row, column]))
            for column, name in enumerate(classes)
            if name in self.listed
            for row in np.flatnonzero(self.listed[name] != seen[:, column])
            if self.ids[row] in self.annotated
        )

    def _from_objects(self, classes: Sequence[str]) -> np.ndarray:
        row_of = {image_id: row for row, image_id in enumerate(self.ids)}
        column_of = {name: column for column, name in enumerate(classes)}
        labels = np.full((len(self.ids), len(classes)), -1, dtype=np.int8)
        for box in self.objects:
            at = row_of[box.id], column_of[box.name]
            labels[at] = max(labels[at], 0 if box.difficult else 1)
        return labels


def _split_lists(devkit: Path) -> list[str]:
    """Names of the lists of images: one name a line, where class lists have a label beside it."""
    names = []
    for path in sorted((devkit / _LISTS).glob("*.txt")):
        with path.open(encoding="utf-8", errors="replace") as file:
            first = next((line.split() for line in file if line.strip()), [])
        if len(first) == 1 or not first:
            names.append(path.stem)
    return names


def _class_lists(devkit: Path, splits: Sequence[str]) -> dict[str, dict[str, Path]]:
    """By split and class. The longest split counts: `cat_my_test` is of `my_test` where that is a split."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((devkit / _LISTS).glob("*_*.txt")):
        if path.stem in splits:
            continue
        owners = [split for split in splits if path.stem.endswith(f"_{split}")]
        if owners:
            split = max(owners, key=len)
            found.setdefault(split, {})[path.stem.removesuffix(f"_{split}")] = path
    return found


def _read_part(devkit: Path, split: str, class_files: dict[str, Path], annotations: _Annotations) -> _Part:
    ids = _read_split(devkit / _LISTS / f"{split}.txt")
    listed = {name: _read_class_list(path, ids) for name, path in class_files.items()}
    objects: list[ObjectBox] = []
    annotated = set()
    for image_id in ids:
        found = annotations.of(image_id)
        if found is not None:
            objects += found
            annotated.add(image_id)
        elif not listed:
            raise _UnusableSplitError(
                f"split {split}: {image_id} has no label: there is neither a class list "
                f"{_LISTS}/<class>_{split}.txt nor {annotations.folder / image_id}.xml; "
                "choose a split that is labelled"
            )
    return _Part(ids, listed, tuple(objects), frozenset(annotated))


def _read_split(path: Path) -> tuple[str, ...]:
    ids = []
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if len(words) > 1:
            raise UserError(f"{path}:{number}: {line.strip()!r} is not one image's name")
        ids += words
    if not ids:
        raise _UnusableSplitError(
            f"{path}: an empty split; list its images there, one name a line, or name another"
        )
    for image_id in ids:
        refuse_unsafe(image_id, str(path))
    refuse_duplicates(ids, str(path))
    return tuple(ids)


def _read_class_list(path: Path, ids: tuple[str, ...]) -> np.ndarray:
    """A class's column of labels, in the order of `ids`."""
    row_of = {image_id: row for row, image_id in enumerate(ids)}
    labels = np.full(len(ids), -2, dtype=np.int8)
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ("1", "+1", "-1", "0"):
            raise UserError(f"{path}:{number}: {line.strip()!r} is not an image's name and 1, -1 or 0")
        row = row_of.get(words[0])
        if row is None:
            hint = did_you_mean(words[0], ids)
            raise UserError(
                f"{path}:{number}: {words[0]} is not in the split's own list{hint}; remove the line"
            )
        if labels[row] != -2:
            raise UserError(f"{path}:{number}: {words[0]} is listed twice; remove one of the lines")
        labels[row] = int(words[1])
    if (missing := np.flatnonzero(labels == -2)).size:
        raise UserError(
            f"{path}: {missing.size} images of the split have no label there, such as {ids[missing[0]]}; "
            "add them"
        )
    return labels


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write it again") from None


class _Annotations:
    """The objects of each image, read once however many splits name it."""

    def __init__(self, devkit: Path, known: set[str]) -> None:
        self.folder = devkit / _ANNOTATIONS
        self._known = known
        self._there = {name for name in _names_in(self.folder) if name.endswith(".xml")}
        self._read: dict[str, list[ObjectBox]] = {}

    def of(self, image_id: str) -> list[ObjectBox] | None:
        """None where the image has no annotation."""
        if f"{image_id}.xml" not in self._there:
            return None
        if image_id not in self._read:
            self._read[image_id] = _read_annotation(self.folder / f"{image_id}.xml", self._known)
        return self._read[image_id]


def _read_annotation(path: Path, known: set[str]) -> list[ObjectBox]:
    try:
        objects = ET.parse(path).getroot().findall("object")
    except (ET.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path}: not an annotation in XML ({error}); mend or remove it") from None
    boxes = []
    for element in objects:
        name = (element.findtext("name") or "").strip()
        if not name:
            raise UserError(f"{path}: an object without a name; add <name> to it")
        if known and name not in known:
            raise UserError(
                f"{path}: unknown class {name!r}{did_you_mean(name, known)}; "
                f"{_LISTS} has lists for: {', '.join(in_order(known))}"
            )
        boxes.append(
            ObjectBox(
                id=path.stem,
                name=name,
                difficult=_flag(element, "difficult", path),
                truncated=_flag(element, "truncated", path),
                corners=_corners(element.find("bndbox"), path),
            )
        )
    return boxes


def _flag(element: ET.Element, name: str, path: Path) -> bool:
    text = (element.findtext(name) or "0").strip()
    if text not in ("0", "1"):
        raise UserError(f"{path}: <{name}> is {text!r}; allowed: 0, 1")
    return text == "1"


def _corners(box: ET.Element | None, path: Path) -> tuple[int, int, int, int] | None:
    if box is None:
        return None
    try:
        # some of VOC 2011's are fractions
        xmin, ymin, xmax, ymax = (
            round(float(box.findtext(c) or "")) for c in ("xmin", "ymin", "xmax", "ymax")
        )
    except (ValueError, OverflowError):
        raise UserError(f"{path}: a <bndbox> without the four numbers xmin, ymin, xmax, ymax") from None
    return xmin, ymin, xmax, ymax


def _image_files(devkit: Path) -> dict[str, str]:
    """File names by id; where one id has several files, the .jpg counts."""
    names = sorted(_names_in(devkit / _IMAGES), key=lambda name: (not name.endswith(".jpg"), name))
    return {Path(name).stem: name for name in reversed(names) if not name.startswith(".")}


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []

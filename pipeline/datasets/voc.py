"""Any devkit in VOC's layout: JPEGImages, Annotations, ImageSets/Main; or annotations without lists."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.hints import did_you_mean, some_of
from ..progress import progress
from ..results.dataset import Contradiction
from .annotated_images import annotated_images, splits_of
from .image_tree import SUFFIXES, short_ids
from .listing import Listing, ObjectBox
from .named_files import NamedFiles
from .voc_annotations import Annotations
from .voc_lists import ImageSets

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person",
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_LISTS, _ANNOTATIONS, _IMAGES = "ImageSets/Main", "Annotations", "JPEGImages"
_JPEG_FIRST = (".jpg", *sorted(SUFFIXES - {".jpg"}))
_A_SYSTEM = 3  # images whose labels all contradict; one or two may be slips


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
    found = _devkits(root)
    if not found:
        raise UserError(
            f"dataset.root: {root}: no VOC devkit; expected {_IMAGES}, {_ANNOTATIONS} and {_LISTS} in it, "
            "in VOCdevkit/VOC2007 or in VOCdevkit/VOC2012; or images with an annotation in XML beside each"
        )
    if len(found) > 1:
        several = ", ".join(str(folder) for folder in found)
        raise UserError(f"dataset.root: {root} holds more than one devkit; set it to one of {several}")
    return found[0]


def _devkits(root: Path) -> list[Path]:
    folders = (root, *sorted(root.glob("VOCdevkit/VOC*")), *sorted(root.glob("VOC[0-9]*")))
    return [folder for folder in folders if (folder / _LISTS).is_dir()]


def list_voc(
    root: Path | str, train: str, test: str, val: str | None = None, also: Collection[str] = ()
) -> dict[str, Listing]:
    """The splits of the devkit under `root`, by name.

    Labels come from the class lists in ImageSets/Main where the split has them, else from the annotations:
    1 if a class has an instance that is not difficult, 0 if all its instances are difficult, else -1. Where
    both are there, the lists count, and each contradiction is kept in `Listing.disagreements`. A class
    without a list, and lists whose 0 means absent, are replaced by the annotations and a remark; where these
    do not cover the split, it is refused.
    The classes are VOC's twenty in their order, or as many of them as there are, or else sorted by name.

    Where there is no ImageSets/Main, the images are those with an annotation of their name; the splits are
    the folders named so, or are drawn.

    Raises
    ------
    UserError
        One line that names the file, the line or the image at fault.
    """
    root = Path(root)
    if not _devkits(root) and root.is_dir() and (found := annotated_images(root)):
        return _list_annotated(root, found, splits_of(list(found), train, test, val, also, root))
    devkit = find_devkit(root)
    images = NamedFiles(devkit / _IMAGES, _JPEG_FIRST, others=True)
    lists = ImageSets(devkit / _LISTS, images, NamedFiles(devkit / _ANNOTATIONS, [".xml"]))
    required = list(dict.fromkeys(split for split in (train, test, val, *also) if split))
    splits = lists.splits()
    for split in required:
        if split not in splits:
            raise UserError(
                f"{lists.folder / split}.txt: no such split{did_you_mean(split, splits)}; "
                f"there are: {some_of(splits) or 'none'}"
            )
    class_files = lists.class_lists(splits)
    listed = in_order({name for names in class_files.values() for name in names})
    annotations = Annotations(listed, f"{_LISTS} has lists for: {', '.join(listed)}")
    place = Path(os.path.relpath(devkit, root), _IMAGES)
    parts = {}
    for split in progress(required, desc="reading labels", unit="split"):
        ids = lists.ids(split)
        paths = [os.path.normpath(place / lists.image(image_id)) for image_id in ids]
        files, columns = map(lists.annotation, ids), class_files.get(split, {})
        labels = {name: lists.labels(columns[name], ids) for name in listed if name in columns}
        part = _read_part(ids, paths, files, annotations, labels)
        parts[split] = _settled(part, split, listed)
    return _listings(parts, listed, annotations, devkit)


def _list_annotated(root: Path, found: dict[str, str], splits: dict[str, list[str]]) -> dict[str, Listing]:
    """Listings of images that have an annotation, and no lists."""
    ids = short_ids(list(found))
    annotations = Annotations()
    parts = {
        split: _read_part([ids[p] for p in paths], paths, [root / found[p] for p in paths], annotations)
        for split, paths in progress(splits.items(), desc="reading labels", unit="split")
    }
    return _listings(parts, (), annotations, root)


def _listings(
    parts: Mapping[str, _Part], listed: tuple[str, ...], annotations: Annotations, where: Path
) -> dict[str, Listing]:
    classes = listed or in_order({box.name for part in parts.values() for box in part.objects})
    if not classes:
        raise UserError(
            f"{where}: neither class lists nor annotated objects; to do without, set dataset.kind: images"
        )
    return {
        split: Listing(
            split=split,
            classes=classes,
            ids=part.ids,
            paths=part.paths,
            labels=part.labels(classes),
            objects=part.objects,
            disagreements=part.disagreements(),
            remarks=(*part.remarks, *annotations.remarks()),
        )
        for split, part in parts.items()
    }


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """VOC's classes in VOC's order; if there is any other among them, all by name."""
    names = set(names)
    if names <= set(VOC_CLASSES):
        return tuple(name for name in VOC_CLASSES if name in names)
    return tuple(sorted(names))


@dataclasses.dataclass(frozen=True)
class _Part:
    """A split's ids, with what the class lists and the annotations say."""

    ids: tuple[str, ...]
    paths: tuple[str, ...]
    listed: Mapping[str, np.ndarray]  # a class's column of labels
    objects: tuple[ObjectBox, ...]
    annotated: frozenset[str]  # the ids that have an annotation
    remarks: tuple[str, ...] = ()

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        labels = self._from_objects(classes)
        for column, name in enumerate(classes):
            if name in self.listed:
                labels[:, column] = self.listed[name]
        return labels

    def disagreements(self) -> tuple[Contradiction, ...]:
        seen = self._from_objects(list(self.listed))
        return tuple(
            Contradiction(
                id=self.ids[row], class_name=name, listed=int(labels[row]), annotated=int(seen[row, column])
            )
            for column, (name, labels) in enumerate(self.listed.items())
            for row in np.flatnonzero(labels != seen[:, column])
            if self.ids[row] in self.annotated
        )

    def zeros_mean_absent(self) -> bool:
        """Whether the lists know no -1, and have a 0 for which no annotation shows a difficult instance."""
        seen = self._from_objects(list(self.listed))
        labels = np.reshape([*self.listed.values()], (-1, len(self.ids))).T
        return not (labels == -1).any() and bool(((labels == 0) & (seen == -1)).any())

    def _from_objects(self, classes: Sequence[str]) -> np.ndarray:
        row_of = {image_id: row for row, image_id in enumerate(self.ids)}
        column_of = {name: column for column, name in enumerate(classes)}
        labels = np.full((len(self.ids), len(classes)), -1, dtype=np.int8)
        for box in self.objects:
            if box.name in column_of:
                at = row_of[box.id], column_of[box.name]
                labels[at] = max(labels[at], 0 if box.difficult else 1)
        return labels


def _read_part(
    ids: Sequence[str],
    paths: Sequence[str],
    files: Iterable[Path | None],
    annotations: Annotations,
    listed: Mapping[str, np.ndarray] | None = None,
) -> _Part:
    objects: list[ObjectBox] = []
    annotated = set()
    for image_id, file in zip(ids, files, strict=True):
        if file is not None:
            objects += annotations.of(image_id, file)
            annotated.add(image_id)
    return _Part(tuple(ids), tuple(paths), listed or {}, tuple(objects), frozenset(annotated))


def _settled(part: _Part, split: str, classes: tuple[str, ...]) -> _Part:
    """The part with a label of every image for every class, or a refusal: what is missing is not absent."""
    bare = next((image_id for image_id in part.ids if image_id not in part.annotated), None)
    missing = [name for name in classes if name not in part.listed]
    if bare and (missing or not classes):
        whose = f" for {some_of(missing)}" if part.listed else ""
        raise UserError(
            f"split {split}: {bare} has no label{whose}: there is neither "
            f"a class list {_LISTS}/<class>_{split}.txt nor {_ANNOTATIONS}/{bare}.xml; add one of them, "
            "or choose a split that is labelled"
        )
    remarks = []
    if missing:
        remarks.append(
            f"{_LISTS} has no list {some_of([f'{name}_{split}.txt' for name in missing], 5)}: what {split} "
            "shows of these classes is taken from the annotations"
        )
    if part.zeros_mean_absent():
        if bare:
            raise UserError(
                f"{_LISTS}/*_{split}.txt: no -1 in any of the class lists, though 0 means that all objects "
                "of the class are difficult; write -1 where a class is absent"
            )
        remarks.append(
            f"{_LISTS}/*_{split}.txt have no -1, and 0 where the annotations show no difficult object: the "
            f"labels of {split} are taken from the annotations"
        )
        part = dataclasses.replace(part, listed={})
    found = part.disagreements()
    if len({d.id for d in found}) == len(part.annotated) >= _A_SYSTEM:
        raise UserError(
            f"{_LISTS}/*_{split}.txt contradict the annotations of all {len(part.annotated)} images "
            f"that have one, such as {found[0].id} ({found[0].class_name} {found[0].listed}, annotated "
            f"{found[0].annotated}); mend one of the two, or remove it"
        )
    return dataclasses.replace(part, remarks=tuple(remarks))

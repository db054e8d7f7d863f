"""Any devkit in VOC's layout: JPEGImages, Annotations, ImageSets/Main; or annotations without lists."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ...errors import UserError
from ...files.hints import did_you_mean, some_of
from ...images.image_formats import SUFFIXES
from ...labels import Labels
from ...params import Dataset
from ...progress import progress
from ...results.dataset import Contradiction
from ..drawing import splits_to_list
from ..image_tree import images_under, short_ids
from ..listing import Listing, ObjectBox
from ..named_files import NamedFiles
from ..tree import Tree
from .annotated_images import annotated_images, splits_of
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


def find_devkit(tree: Tree) -> str:
    """The folder that holds ImageSets/Main: the root, '', or a year's folder in it or in its VOCdevkit.

    Raises
    ------
    UserError
        If there is none, or more than one.
    """
    found = _devkits(tree)
    if not found:
        raise UserError(
            f"dataset.root: {tree.root}: no VOC devkit; expected {_IMAGES}, {_ANNOTATIONS} and "
            f"{_LISTS} in it, in VOCdevkit/VOC2007 or in VOCdevkit/VOC2012; or images with an annotation in "
            "XML beside each"
        )
    if len(found) > 1:
        several = ", ".join(tree.where(folder).rstrip("/") for folder in found)
        raise UserError(f"dataset.root: {tree.root} holds more than one devkit; set it to one of {several}")
    return found[0]


def _devkits(tree: Tree) -> list[str]:
    inner = [f"VOCdevkit/{name}" for name in tree.subfolders("VOCdevkit") if name.startswith("VOC")]
    years = [name for name in tree.folders if re.match(r"VOC\d", name)]
    return [folder for folder in ("", *inner, *years) if tree.under(_inside(folder, _LISTS))]


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def list_voc(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits of the devkit under `root`, by name.

    Labels come from the class lists in ImageSets/Main where the split has them, else from the annotations:
    1 if a class has an instance that is not difficult, 0 if all its instances are difficult, else -1. Where
    both are there, the lists count, and each contradiction is kept in `Listing.disagreements`. A class
    without a list, and lists whose 0 means absent, are replaced by the annotations and a remark; where these
    do not cover the split, it is refused.
    The classes are VOC's twenty in their order, or as many of them as there are, or else sorted by name.

    Where there is no ImageSets/Main, the images are those with an annotation of their name; the splits are
    the folders named so, if there are any. `dataset.lists` overrules both, and every list is then read.

    Raises
    ------
    UserError
        One line that names the file, the line or the image at fault.
    """
    if not _devkits(tree) and (found := annotated_images(tree, images_under(tree, dataset))):
        return _list_annotated(tree, found, splits_of(list(found), dataset, also, tree))
    devkit = find_devkit(tree)
    images = NamedFiles(tree, _inside(devkit, _IMAGES), _JPEG_FIRST, others=True)
    annotated = NamedFiles(tree, _inside(devkit, _ANNOTATIONS), [".xml"])
    lists = ImageSets(tree, _inside(devkit, _LISTS), images, annotated)
    splits = lists.splits()
    required = splits if dataset.lists else splits_to_list(dataset, also, splits)
    for split in required:
        if split not in splits:
            raise UserError(
                f"{tree.where(lists.folder)}/{split}.txt: no such split{did_you_mean(split, splits)}; "
                f"there are: {some_of(splits) or 'none'}"
            )
    class_files = lists.class_lists(splits)
    listed = in_order({name for names in class_files.values() for name in names})
    annotations = Annotations(tree, listed, f"{_LISTS} has lists for: {', '.join(listed)}")
    parts = {}
    for split in required:
        ids, columns = lists.ids(split), class_files.get(split, {})
        parts[split] = _Part(
            ids,
            tuple(f"{images.folder}/{lists.image(image_id)}" for image_id in ids),
            tuple(map(lists.annotation, ids)),
            {name: lists.labels(columns[name], ids) for name in listed if name in columns},
        )
    return _listings(parts, listed, annotations, tree.where(devkit).rstrip("/"))


def _list_annotated(tree: Tree, found: dict[str, str], splits: dict[str, list[str]]) -> dict[str, Listing]:
    """Listings of images that have an annotation, and no lists."""
    ids = short_ids(list(found))
    parts = {
        split: _Part(tuple(ids[path] for path in paths), tuple(paths), tuple(found[path] for path in paths))
        for split, paths in splits.items()
    }
    return _listings(parts, (), Annotations(tree), tree.root)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """VOC's classes in VOC's order; if there is any other among them, all by name."""
    names = set(names)
    if names <= set(VOC_CLASSES):
        return tuple(name for name in VOC_CLASSES if name in names)
    return tuple(sorted(names))


@dataclasses.dataclass(frozen=True)
class _Part:
    """A split's ids, the files of each, and a column of labels for each class that has a list."""

    ids: tuple[str, ...]
    paths: tuple[str, ...]
    annotations: tuple[str | None, ...]
    listed: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def _listings(
    parts: Mapping[str, _Part], listed: tuple[str, ...], annotations: Annotations, where: str
) -> dict[str, Listing]:
    objects = {}
    for split, part in progress(parts.items(), desc="reading labels", unit="split"):
        files = zip(part.ids, part.annotations, strict=True)
        objects[split] = [box for name, file in files if file for box in annotations.of(name, file)]
    classes = listed or in_order({box.name for boxes in objects.values() for box in boxes})
    listings = {
        split: _listing(split, part, objects[split], classes, [c for c in listed if c not in part.listed])
        for split, part in parts.items()
    }
    if not classes:
        raise UserError(
            f"{where}: neither class lists nor annotated objects; to do without, set dataset.kind: images"
        )
    odd = annotations.remarks()
    return {
        split: dataclasses.replace(listing, remarks=(*listing.remarks, *odd))
        for split, listing in listings.items()
    }


def _listing(
    split: str, part: _Part, objects: Sequence[ObjectBox], classes: tuple[str, ...], missing: Sequence[str]
) -> Listing:
    """The split with a label of every image for every class, or a refusal: what is missing is not absent.

    `missing` are classes without a list, where there are lists.
    """
    bare = next((name for name, file in zip(part.ids, part.annotations, strict=True) if file is None), None)
    if bare and (missing or not part.listed):
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
    seen = _labels_of(objects, part.ids, classes)
    labels = seen.copy()
    for name, column in part.listed.items():
        labels[:, classes.index(name)] = column
    no_minus = all((column != -1).all() for column in part.listed.values())
    if no_minus and ((labels == 0) & (seen == -1)).any():
        if bare:
            raise UserError(
                f"{_LISTS}/*_{split}.txt: no -1 in any of the class lists, though 0 means that all objects "
                "of the class are difficult; write -1 where a class is absent"
            )
        remarks.append(
            f"{_LISTS}/*_{split}.txt have no -1, and 0 where the annotations show no difficult object: the "
            f"labels of {split} are taken from the annotations"
        )
        labels = seen
    found = _contradictions(split, part, classes, labels, seen)
    return Listing(
        split, classes, part.ids, part.paths, Labels.dense(labels), tuple(objects), found, tuple(remarks)
    )


def _labels_of(objects: Iterable[ObjectBox], ids: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """What the annotations say: (N, C) int8."""
    row_of = {image_id: row for row, image_id in enumerate(ids)}
    column_of = {name: column for column, name in enumerate(classes)}
    labels = np.full((len(ids), len(classes)), -1, dtype=np.int8)
    for box in objects:
        at = row_of[box.id], column_of[box.name]
        labels[at] = max(labels[at], 0 if box.difficult else 1)
    return labels


def _contradictions(
    split: str, part: _Part, classes: Sequence[str], labels: np.ndarray, seen: np.ndarray
) -> tuple[Contradiction, ...]:
    """Where lists and annotations differ; refused where they do in every annotated image of some."""
    found = tuple(
        Contradiction(
            id=part.ids[row],
            class_name=classes[column],
            listed=int(labels[row, column]),
            annotated=int(seen[row, column]),
        )
        for column, row in np.argwhere((labels != seen).T)
        if part.annotations[row]
    )
    annotated = sum(file is not None for file in part.annotations)
    if len({d.id for d in found}) == annotated >= _A_SYSTEM:
        raise UserError(
            f"{_LISTS}/*_{split}.txt contradict the annotations of all {annotated} images "
            f"that have one, such as {found[0].id} ({found[0].class_name} {found[0].listed}, annotated "
            f"{found[0].annotated}); mend one of the two, or remove it"
        )
    return found

"""Images in a folder a class: `root/<split>/<class>/…`, or `root/<class>/…` without splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ...labels import Labels
from ...params import Dataset
from ..image_tree import check_splits, folders_of_splits, images_under, is_image
from ..listing import UNSPLIT, Listing
from ..tree import Tree


def list_folder(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits under `root`, by name; other folders there are not read.

    An image's id is its path from the split's folder (`cat/001.jpg`); it has the one class whose folder it is
    in. Classes are the folders with images, sorted by name, and are the same in all splits. Folders inside a
    class's belong to it.

    Where `root` has no folder named as a split but folders with images, or lists say what is in which split,
    the folders in it are the classes.

    Raises
    ------
    UserError
        If a split's folder is missing or holds no images, or a folder cannot be read.
    """
    named = dataset.splits(also)
    if dataset.lists or (not set(named) & set(tree.folders) and any(map(_is_in_a_class, tree.files))):
        return _listings({UNSPLIT: sorted(_of_classes(tree, dataset, ""))})
    named = folders_of_splits(tree, dataset, also)
    read = {name: _of_classes(tree, dataset, name) for name in named if name in tree.folders}
    check_splits({name: read.get(name, []) for name in tree.folders}, named, tree.root, "<class>/")
    return _listings(read)


def _is_in_a_class(path: str) -> bool:
    return path.count("/") == 1 and is_image(path)


def _of_classes(tree: Tree, dataset: Dataset, folder: str) -> list[str]:
    """The images of the classes whose folders are in a folder, as paths from it."""
    start = f"{folder}/" if folder else ""
    classes = tree.subfolders(folder)
    found = (images_under(tree, dataset, start + name) for name in classes)
    return [path[len(start) :] for paths in found for path in paths]


def _listings(ids: Mapping[str, Sequence[str]]) -> dict[str, Listing]:
    own = {split: [name.partition("/")[0] for name in names] for split, names in ids.items()}
    classes = tuple(sorted({name for names in own.values() for name in names}))
    column = {name: number for number, name in enumerate(classes)}
    listings = {}
    for split, names in ids.items():
        rows, columns = np.arange(len(names)), np.array([column[name] for name in own[split]], np.int64)
        labels = Labels.of(rows, columns, np.ones(len(names)), (len(names), len(classes)))
        paths = tuple(f"{split}/{name}" if split else name for name in names)
        listings[split] = Listing(split, classes, tuple(names), paths, labels)
    return listings

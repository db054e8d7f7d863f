"""Images in a folder a class: `root/<split>/<class>/…`, or `root/<class>/…` without splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from ..labels import Labels
from ..params import Dataset
from .image_tree import check_splits, draw_splits, holds_images, images_under, subfolders
from .listing import Listing
from .tree import Tree


def list_folder(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits under `root`, by name; other folders there are not read.

    An image's id is its path from the split's folder (`cat/001.jpg`); it has the one class whose folder it is
    in. Classes are the folders with images, sorted by name, and are the same in all splits. Folders inside a
    class's belong to it.

    Where `root` has no folder named as a split but folders with images, these are the classes, and the splits
    are drawn, class by class.

    Raises
    ------
    UserError
        If a split's folder is missing or holds no images, or a folder cannot be read.
    """
    root = Path(tree.root)
    folders = {path.name: path for path in subfolders(root)}
    named = dataset.splits(also)
    if not set(named) & set(folders) and any(map(holds_images, folders.values())):
        return _listings(draw_splits(_by_class(root), dataset, root), prefix=False)
    read = {name: [*chain(*_by_class(folders[name]))] for name in named if name in folders}
    check_splits({name: read.get(name, []) for name in folders}, named, root, "<class>/")
    return _listings(read, prefix=True)


def _by_class(folder: Path) -> list[list[str]]:
    return [images_under(path, folder) for path in subfolders(folder)]


def _listings(ids: Mapping[str, Sequence[str]], prefix: bool) -> dict[str, Listing]:
    own = {split: [name.partition("/")[0] for name in names] for split, names in ids.items()}
    classes = tuple(sorted({name for names in own.values() for name in names}))
    column = {name: number for number, name in enumerate(classes)}
    listings = {}
    for split, names in ids.items():
        rows, columns = np.arange(len(names)), np.array([column[name] for name in own[split]])
        labels = Labels.of(rows, columns, np.ones(len(names)), (len(names), len(classes)))
        paths = tuple(f"{split}/{name}" if prefix else name for name in names)
        listings[split] = Listing(split, classes, tuple(names), paths, labels)
    return listings

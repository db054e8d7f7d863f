"""Images in a folder a class: `root/<split>/<class>/…`, or `root/<class>/…` without splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .image_tree import check_splits, draw_splits, images_under, is_image, subfolders
from .listing import Listing


def list_folder(root: Path, train: str, test: str, val: str | None = None) -> dict[str, Listing]:
    """Every split under `root`, by name.

    An image's id is its path from the split's folder (`cat/001.jpg`); it has the one class whose folder it is
    in. Classes are sorted by name, and are the same in all splits. Folders inside a class's belong to it.

    Where `root` has no folder named as a split but folders with images, these are the classes, and the splits
    are drawn, class by class.

    Raises
    ------
    UserError
        If a split's folder is missing or holds no images.
    """
    folders = subfolders(root)
    named = list(dict.fromkeys(name for name in (train, test, val) if name))
    if not set(named) & {path.name for path in folders} and any(
        is_image(path) for folder in folders for path in folder.iterdir()
    ):
        images = {name: ids for name, ids in _by_class(root).items() if ids}
        drawn = draw_splits(images.values(), train, test, val, root)
        return {split: _listing(split, tuple(sorted(images)), ids, "") for split, ids in drawn.items()}
    by_class = {folder.name: _by_class(folder) for folder in folders}
    found = {split: [i for ids in classes.values() for i in ids] for split, classes in by_class.items()}
    check_splits(found, named, root, "<class>/")
    used = [split for split, ids in found.items() if ids]
    classes = tuple(sorted({name for split in used for name in by_class[split]}))
    return {split: _listing(split, classes, found[split], f"{split}/") for split in used}


def _by_class(folder: Path) -> dict[str, list[str]]:
    return {path.name: images_under(path, folder) for path in subfolders(folder)}


def _listing(split: str, classes: tuple[str, ...], ids: list[str], prefix: str) -> Listing:
    own = np.array([image_id.partition("/")[0] for image_id in ids])
    labels = np.where(own[:, None] == np.array(classes), 1, -1).astype(np.int8)
    return Listing(split, classes, tuple(ids), tuple(prefix + i for i in ids), labels)

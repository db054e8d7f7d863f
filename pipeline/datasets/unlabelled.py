"""Any tree of images, without labels: `root/<split>/…`, or `root/…` without splits."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..labels import Labels
from ..params import Dataset
from .image_tree import check_splits, draw_splits, images_under, short_ids, subfolders
from .listing import Listing
from .tree import Tree


def list_images(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits of a tree of images; there are no classes.

    Where a folder in `root` is named as a split, splits are these folders; else they are drawn. An image's id
    is its path from `root` without the suffix, or with it if two images would have the same.

    Raises
    ------
    UserError
        If a split's folder is missing or holds no images, or there are too few images to draw splits from.
    """
    root, named = Path(tree.root), dataset.splits(also)
    folders = {path.name: path for path in subfolders(root)}
    if set(named) & set(folders):
        splits = {name: images_under(path, root) for name, path in folders.items() if name in named}
        check_splits(splits, named, root, "")
    else:
        splits = draw_splits([images_under(root, root)], dataset, root)
    ids = short_ids(list(dict.fromkeys(path for paths in splits.values() for path in paths)))
    return {
        split: Listing(split, (), tuple(ids[path] for path in paths), tuple(paths), Labels.none(len(paths)))
        for split, paths in splits.items()
    }

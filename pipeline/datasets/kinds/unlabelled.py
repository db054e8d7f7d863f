"""Any tree of images, without labels: `root/<split>/…`, or `root/…` without splits."""

from __future__ import annotations

from collections.abc import Collection

from ...labels import Labels
from ...params import Dataset
from ..image_tree import check_splits, folders_of_splits, images_under, short_ids
from ..listing import UNSPLIT, Listing
from ..tree import Tree


def list_images(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits of a tree of images; there are no classes.

    Where a folder in `root` is named as a split, splits are these folders; else nothing says which is in
    which. An image's id is its path from `root` without the suffix, or with it if two images would have the
    same.

    Raises
    ------
    UserError
        If a split's folder is missing or holds no images.
    """
    named = dataset.splits(also)
    if set(named) & set(tree.folders) and not dataset.lists:
        named = folders_of_splits(tree, dataset, also)
        splits = {name: images_under(tree, dataset, name) for name in tree.folders if name in named}
        check_splits({name: splits.get(name, []) for name in tree.folders}, named, tree.root, "")
    else:
        splits = {UNSPLIT: images_under(tree, dataset)}
    ids = short_ids(list(dict.fromkeys(path for paths in splits.values() for path in paths)))
    return {
        split: Listing(split, (), tuple(ids[path] for path in paths), tuple(paths), Labels.none(len(paths)))
        for split, paths in splits.items()
    }

"""Image files in folders: finding them and naming them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from posixpath import splitext

from ..errors import UserError
from ..files.hints import did_you_mean
from ..images.image_formats import SUFFIXES
from ..params import Dataset
from .drawing import splits_to_list
from .listing import can_be_written
from .patterns import chosen_by
from .tree import Tree


def images_under(tree: Tree, dataset: Dataset, folder: str = "") -> list[str]:
    """The image files in a folder and below it that `include` and `exclude` leave, as paths from the root.

    Raises
    ------
    UserError
        If a name cannot be written into a table.
    """
    chosen = chosen_by(dataset)
    found = [path for path in tree.under(folder) if is_image(path) and chosen(path)]
    for path in found:
        if not can_be_written(path):
            raise UserError(
                f"{tree.root}: {path!r}: a name with control characters, or not in UTF-8; rename it"
            )
    return found


def is_image(path: str) -> bool:
    """Whether a file's name is that of an image."""
    return path[path.rfind(".") :].lower() in SUFFIXES


def short_ids(paths: Sequence[str]) -> dict[str, str]:
    """{path: id}: the paths without their suffixes, or as they are if two would be the same."""
    ids = {path: _without_suffix(path) for path in paths}
    return ids if len(set(ids.values())) == len(ids) else {path: path for path in paths}


def _without_suffix(path: str) -> str:
    base, ending = splitext(path)
    as_it_is = len(ending) > 1 and "./" not in path and "//" not in path  # pathlib takes ten times as long
    return base if as_it_is else str(PurePosixPath(path).with_suffix(""))


def folders_of_splits(tree: Tree, dataset: Dataset, also: Collection[str]) -> list[str]:
    """The splits that must have a folder in the root, by the folders with images there."""
    named = dataset.splits(also)
    there = [name for name in tree.folders if name in named or images_under(tree, dataset, name)]
    return splits_to_list(dataset, also, there)


def check_splits(found: Mapping[str, Collection[str]], named: Iterable[str], root: str, layout: str) -> None:
    """Refuse a root that lacks the folder of a split, or has no images in it.

    Parameters
    ----------
    found : {folder of `root`: its images}
    named : the splits
    layout : str
        How images lie in a split's folder, for the message.
    """
    for split in named:
        if split not in found:
            raise UserError(
                f"dataset: {root} has no folder {split}{did_you_mean(split, found)}; it has: "
                f"{', '.join(found) or 'none'}. Images belong in {root}/<split>/{layout}"
            )
        if not found[split]:
            raise UserError(f"{root}/{split}: an empty split; images belong in {root}/{split}/{layout}")

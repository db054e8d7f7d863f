"""What lies beside the images that a data set lists: counted, so that what is not read is not overlooked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import commonpath, dirname, splitext

from ..images.address import Address
from ..images.image_formats import HEIF_SUFFIXES, INSTALL_HEIF
from ..params import Dataset
from ..results.dataset import PassedOver
from .image_tree import is_image
from .patterns import chosen_by
from .tree import Tree

NO_IMAGE = "no ending of an image"
NO_HEIF = f"read by a package that is not installed ({INSTALL_HEIF})"
NO_SPLIT = "in no split that is read"
NOT_CHOSEN = "left out by dataset.include and exclude"
NOWHERE = "no file, or a link that leads nowhere"


def look_beside(tree: Tree, dataset: Dataset, paths: Iterable[str]) -> list[PassedOver]:
    """What the folder holds in which the listed images lie, beside them and what says something of them.

    Hidden files and those of the system are no part of it. On a web server nothing is known of it.

    Parameters
    ----------
    paths : iterable of str
        The addresses of the listed images.
    """
    files = (Address.parse(path).file if "#" in path else path for path in paths)
    read = {tree.home(file) for file in files} if tree.again else set(files)
    inside = {dirname(file) for file in read if "://" not in file}
    if not inside or not tree.is_listable:
        return []
    top = commonpath(inside)
    counts: dict[tuple[str, str], int] = {}
    examples: dict[tuple[str, str], str] = {}
    for reason, path in _beside(tree, dataset, top, read | tree.opened):
        kind = reason, splitext(path)[1].lower()
        counts[kind] = counts.get(kind, 0) + 1
        examples[kind] = min(examples.get(kind, path), path)
    return [
        PassedOver(reason=reason, ending=ending, files=number, example=examples[reason, ending])
        for (reason, ending), number in sorted(counts.items())
    ]


def _beside(tree: Tree, dataset: Dataset, top: str, read: set[str]) -> Iterator[tuple[str, str]]:
    """The files in a folder that are not read, and why."""
    chosen = chosen_by(dataset)
    for path in tree.under(top):
        if path not in read:
            yield _no_image(path) or (NO_SPLIT if chosen(path) else NOT_CHOSEN), path
    for path in tree.nowhere:
        if not top or path.startswith(f"{top}/"):
            yield _no_image(path) or NOWHERE, path


def _no_image(path: str) -> str:
    """Why a file's ending is none of an image; '' of one that is."""
    if is_image(path):
        return ""
    return NO_HEIF if splitext(path)[1].lower() in HEIF_SUFFIXES else NO_IMAGE

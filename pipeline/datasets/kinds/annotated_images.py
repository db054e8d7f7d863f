"""VOC's annotations without its lists: an image's XML beside it, or in a folder for annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from ...errors import UserError
from ...params import Dataset
from ..drawing import splits_to_list
from ..image_tree import check_splits, images_under, is_image
from ..listing import UNSPLIT
from ..named_files import composed
from ..tree import Tree


def annotated_images(tree: Tree, images: Iterable[str] | None = None) -> dict[str, str]:
    """{image: its annotation}, as paths from the root; of all images or some, where there is one of its name.

    Of several the one in the same folder counts, else that whose folders are most alike: `train/images/1.jpg`
    has `train/annotations/1.xml`.

    Raises
    ------
    UserError
        If it is not clear which annotation is an image's.
    """
    named: dict[str, list[str]] = {}
    for path in tree.files:
        if path.lower().endswith(".xml"):
            named.setdefault(composed(PurePosixPath(path).stem), []).append(path)
    found: dict[str, str] = {}
    for image in (filter(is_image, tree.files) if images is None else images) if named else ():
        stem = composed(PurePosixPath(image).stem)
        if stem not in named:
            continue
        likeness = {path: _alike(image, path) for path in named[stem]}
        best = [path for path in likeness if likeness[path] == max(likeness.values())]
        if len(best) > 1:
            raise UserError(
                f"{tree.where(image)}: {best[0]} is named as it, but so is {best[1]}; "
                "put each image's annotation beside it"
            )
        found[image] = best[0]
    return found


def splits_of(
    images: Sequence[str], dataset: Dataset, also: Collection[str], tree: Tree
) -> dict[str, list[str]]:
    """The images by split, which is a folder in their paths; unsplit where none has a split's name."""
    splits: dict[str, list[str]] = {name: [] for name in dataset.splits(also)}
    for image in images:
        if (split := _split_of(image, splits)) is not None:
            splits[split].append(image)
    if dataset.lists or not any(splits.values()):
        return {UNSPLIT: list(images)}
    # those in no split's folder may be of one too
    there = {_split_of(image, splits) or image for image in images_under(tree, dataset)}
    named = splits_to_list(dataset, also, there)
    check_splits(splits, named, tree.root, "")
    return {name: splits[name] for name in named}


def _split_of(image: str, splits: Collection[str]) -> str | None:
    return next((folder for folder in image.split("/")[:-1] if folder in splits), None)


def _alike(image: str, annotation: str) -> tuple[bool, int]:
    a, b = image.split("/")[:-1], annotation.split("/")[:-1]
    pairs = [*zip(a, b, strict=False), *zip(reversed(a), reversed(b), strict=False)]
    return a == b, sum(x == y for x, y in pairs)

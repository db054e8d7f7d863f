"""VOC's annotations without its lists: an image's XML beside it, or in a folder for annotations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..params import Dataset
from .image_tree import check_splits, draw_splits, images_under, refuse_unreadable, walk
from .named_files import composed


def annotated_images(root: Path) -> dict[str, str]:
    """{image: its annotation}, as paths from `root`, where there is an annotation of its name.

    Of several the one in the same folder counts, else that whose folders are most alike: `train/images/1.jpg`
    has `train/annotations/1.xml`.

    Raises
    ------
    UserError
        If it is not clear which annotation is an image's.
    """
    named: dict[str, list[str]] = {}
    for place, files in walk(root, refuse_unreadable):
        for path in ((place / file).relative_to(root) for file in files if file.lower().endswith(".xml")):
            named.setdefault(composed(path.stem), []).append(path.as_posix())
    found: dict[str, str] = {}
    for image in images_under(root, root) if named else ():
        stem = composed(PurePosixPath(image).stem)
        if stem not in named:
            continue
        likeness = {path: _alike(image, path) for path in named[stem]}
        best = [path for path in likeness if likeness[path] == max(likeness.values())]
        if len(best) > 1:
            raise UserError(
                f"{root / image}: {best[0]} is named as it, but so is {best[1]}; "
                "put each image's annotation beside it"
            )
        found[image] = best[0]
    return found


def splits_of(
    images: Sequence[str], dataset: Dataset, also: Collection[str], root: Path
) -> dict[str, list[str]]:
    """The images by split, which is a folder in their paths; drawn where there is none of a split's name."""
    splits: dict[str, list[str]] = {name: [] for name in dataset.splits(also)}
    for image in images:
        split = next((folder for folder in image.split("/")[:-1] if folder in splits), None)
        if split is not None:
            splits[split].append(image)
    if not any(splits.values()):
        return draw_splits([images], dataset, root)
    check_splits(splits, splits, root, "")
    return splits


def _alike(image: str, annotation: str) -> tuple[bool, int]:
    a, b = image.split("/")[:-1], annotation.split("/")[:-1]
    pairs = [*zip(a, b, strict=False), *zip(reversed(a), reversed(b), strict=False)]
    return a == b, sum(x == y for x, y in pairs)

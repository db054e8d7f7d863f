"""What a data set says about its splits, before any image is opened."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import UserError
from ..labels import Labels
from ..results.dataset import Contradiction

UNSPLIT = ""  # the name of a listing of all images, where nothing says which is in which split


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectBox:
    """An annotated object; the corners, where known, count from 1 and belong to the box (as in VOC)."""

    id: str
    name: str
    difficult: bool
    truncated: bool | None  # None where the data set does not say
    corners: tuple[int, int, int, int] | None  # xmin, ymin, xmax, ymax
    number: int = 0  # among the image's objects, from 1, where objects are rows


@dataclasses.dataclass(frozen=True)
class Listing:
    """One split as the data set lists it.

    Attributes
    ----------
    ids, paths : N str
        Paths are relative to `dataset.root`.
    labels : Labels
        Of N images and C classes.
    remarks : tuple of str
        What was odd and read all the same; each is told once, though every split may carry it.
    """

    split: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Labels
    objects: tuple[ObjectBox, ...] = ()
    disagreements: tuple[Contradiction, ...] = ()
    remarks: tuple[str, ...] = ()

    def rows(self, rows: Sequence[int] | np.ndarray, split: str | None = None) -> Listing:
        """The listing of some rows, in this order; `split` is its name if that is another one."""
        ids = tuple(self.ids[row] for row in rows)
        kept = set(ids)
        return dataclasses.replace(
            self,
            split=self.split if split is None else split,
            ids=ids,
            paths=tuple(self.paths[row] for row in rows),
            labels=self.labels[np.asarray(rows, np.int64)],
            objects=tuple(box for box in self.objects if box.id in kept),
            disagreements=tuple(odd for odd in self.disagreements if odd.id in kept),
        )


def can_be_written(name: str) -> bool:
    """Whether a name fits into a line of UTF-8: no control character, end of a line, or half of a pair.

    Any other stays as it is: a narrow space in a Mac's screenshots, joiners in Persian and in emoji.
    """
    return name.isprintable() or not any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name
    )


def refuse_duplicates(ids: Iterable[str], where: str) -> None:
    """One row an image: a list that names an image twice is refused."""
    seen: set[str] = set()
    for image_id in ids:
        if image_id in seen:
            raise UserError(f"{where}: {image_id} is listed twice; remove one of the lines")
        seen.add(image_id)


def refuse_unsafe(name: str, where: str) -> None:
    """A name from a file becomes a part of a path: it must not lead out of the data set's folder."""
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or not can_be_written(name):
        raise UserError(f"{where}: {name!r} is no name of an image; a path from the images' folder is needed")

"""What a data set says about its splits, before any image is opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from ..errors import UserError


@dataclasses.dataclass(frozen=True)
class ObjectBox:
    """An annotated object; the corners, where known, count from 1 and belong to the box (as in VOC)."""

    id: str
    name: str
    difficult: bool
    truncated: bool | None  # None where the data set does not say
    corners: tuple[int, int, int, int] | None  # xmin, ymin, xmax, ymax


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """An image whose class list and annotation say different things about a class."""

    id: str
    name: str
    listed: int
    annotated: int


@dataclasses.dataclass(frozen=True)
class Listing:
    """One split as the data set lists it.

    Attributes
    ----------
    ids, paths : N str
        Paths are relative to `dataset.root`.
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    remarks : tuple of str
        What was odd and read all the same; each is told once, though every split may carry it.
    """

    split: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    objects: tuple[ObjectBox, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    remarks: tuple[str, ...] = ()


def refuse_duplicates(ids: Iterable[str], where: str) -> None:
    """One row an image: a list that names an image twice is refused."""
    seen: set[str] = set()
    for image_id in ids:
        if image_id in seen:
            raise UserError(f"{where}: {image_id} is listed twice; remove one of the lines")
        seen.add(image_id)


def refuse_unsafe(name: str, where: str) -> None:
    """A name from a file becomes a part of a path: it must not lead out of the data set's folder."""
    if (
        not name
        or name in (".", "..")
        or PurePosixPath(name).name != name
        or "\\" in name
        or not name.isprintable()
    ):
        raise UserError(f"{where}: {name!r} is no name of an image; a plain name without folders is needed")

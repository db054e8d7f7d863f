"""What the row cache has of the images of an extraction, and whether it goes together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import UserError
from ..params import Layer
from ..store.row_cache import CacheWriter, StoredRows
from .work import ImageFiles, Work

Stored = dict[Layer, StoredRows]


def rows_of(writer: CacheWriter, images: ImageFiles, work: Work) -> Stored:
    """What the cache has for some images."""
    return {layer: writer.rows(key, images.digests) for layer, key in work.keys.items()}


def lacking(stored: Mapping[Layer, StoredRows], digests: np.ndarray) -> np.ndarray:
    """Positions in (N, 16) digests of images that lack a row of some layer: (n,) int64."""
    absent = [rows.find(digests)[:, 0] < 0 for rows in stored.values()]
    return np.flatnonzero(np.any(absent, axis=0)) if absent else np.empty(0, np.int64)


def check_there(stored: Mapping[Layer, StoredRows], images: int) -> None:
    """Refuse to go on with rows that were there and are not."""
    for layer, rows in stored.items():
        if rows.width is None and images:
            raise UserError(f"{rows.folder}: the rows of {layer} are gone; run again")


def check_kinds(stored: Mapping[Layer, StoredRows], kind: str = "") -> None:
    """Refuse rows of a layer from several kinds of device, which may give other bits for the same image.

    Parameters
    ----------
    kind : str
        Of the device that is to add to them.
    """
    for layer, rows in stored.items():
        if len(kinds := {kind, *rows.kinds()} - {""}) > 1:
            raise UserError(
                f"{rows.folder}: rows of {layer} by {' and by '.join(sorted(kinds))}, which may differ in "
                "their last bits; go on where they were computed, or set extract.mixed: true"
            )


def check_device(kind: str, writer: CacheWriter, stored: Stored, work: Work) -> None:
    """Refuse a kind of device that is to add to rows of another, unless the work may be of both."""
    if not work.extract.mixed:
        check_kinds(rows_of(writer, work.beside, work) if work.beside else stored, kind)

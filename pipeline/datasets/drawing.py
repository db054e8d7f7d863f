"""Splits that are drawn, where nothing says which image is in which."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterable

import numpy as np

from ..errors import UserError
from ..params import Dataset
from .listing import Listing
from .patterns import name_of

TEST_SHARE, VAL_SHARE = 0.2, 0.2  # of a group's images, and of what is then left for training
_BY_CLASS = ("folder", "webdataset")  # kinds whose images are drawn class by class, where each shows one
_log = logging.getLogger(__name__)


def draw_splits(listing: Listing, dataset: Dataset, root: str) -> dict[str, Listing]:
    """The splits `train`, `test` and, where given, `val` of a listing of all images, in its order.

    A fifth goes to `test`, the rest to `train`, a fifth of which is `val` too. Which ones is decided by a
    hash of their paths from the root, in a tar of their names there, in a table of their ids, so that the
    split is the same on every machine.

    Raises
    ------
    UserError
        If a split would be empty.
    """
    chosen: dict[str, list[int]] = {name: [] for name in dataset.splits()}
    for rows in _groups(listing, dataset.kind):
        shuffled = sorted(rows, key=lambda row: _hash(listing, row))
        test = round(TEST_SHARE * len(shuffled))
        chosen[dataset.test] += shuffled[:test]
        chosen[dataset.train] += shuffled[test:]
        if dataset.val:
            chosen[dataset.val] += shuffled[test : test + round(VAL_SHARE * (len(shuffled) - test))]
    for split, found in chosen.items():
        if not found:
            raise UserError(
                f"dataset: {root} holds too few images to draw the split {split} from: three of a kind are "
                "the least; or say yourself which image is in which split"
            )
    drawn = ", ".join(f"{split} {len(found)}" for split, found in chosen.items())
    _log.info("%s does not say which image is in which split, so they are drawn: %s", root, drawn)
    remark = f"nothing says which image is in which split, so they are drawn by a hash of the names: {drawn}"
    told = dataclasses.replace(listing, remarks=(*listing.remarks, remark))
    return {split: told.rows(sorted(found), split) for split, found in chosen.items()}


def _groups(listing: Listing, kind: str) -> Iterable[list[int]]:
    bounds, columns, values = listing.labels.entries()
    if kind not in _BY_CLASS or (np.diff(bounds) != 1).any() or (values != 1).any():
        return [list(range(len(listing.ids)))]
    groups: dict[int, list[int]] = {}
    for row, column in enumerate(columns.tolist()):
        groups.setdefault(column, []).append(row)
    return groups.values()


def _hash(listing: Listing, row: int) -> bytes:
    name = name_of(listing.paths[row], listing.ids[row])
    return hashlib.blake2b(name.encode(), digest_size=8).digest()

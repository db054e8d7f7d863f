"""Splits that are drawn, where nothing says which image is in which."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from ..errors import UserError
from ..params import Dataset
from .listing import UNSPLIT, Listing
from .patterns import name_of

TEST_SHARE, VAL_SHARE = 0.2, 0.2  # of a group's images, and of what is then left for training
_BY_CLASS = ("folder", "webdataset")  # kinds whose images are drawn class by class, where each shows one


def splits_to_list(dataset: Dataset, also: Collection[str], there: Collection[str]) -> list[str]:
    """The splits that a data set must have, by the names of those that are there.

    These are all that are used. Where `train` is there, but nothing that might be meant as `test`, no split
    beside `val` and those in `also`, then `test` need not be, nor `val`: `draw_splits` draws them.
    """
    named = dataset.splits(also)
    drawn = {dataset.test, dataset.val} - {dataset.train, *also, *there}
    if dataset.test in drawn and dataset.train in there and set(there) <= set(named):
        return [name for name in named if name not in drawn]
    return named


def draw_splits(listings: Mapping[str, Listing], dataset: Dataset, root: str) -> dict[str, Listing]:
    """The splits `train`, `test` and, where given, `val`, drawn from a listing of all images, in its order.

    A fifth goes to `test`, the rest to `train`, a fifth of which is `val` too. Which ones is decided by a
    hash of their paths from the root, in a tar of their names there, in a table of their ids, so that the
    split is the same on every machine.

    Where there is no listing of all images, that of `train` is drawn from. Other splits stay what they are,
    without the images that are in `test` now.

    Raises
    ------
    UserError
        If a split would be empty.
    """
    listing = listings[UNSPLIT] if UNSPLIT in listings else listings[dataset.train]
    names = [name for name in dataset.splits() if name == dataset.train or name not in listings]
    chosen: dict[str, list[int]] = {name: [] for name in names}
    for rows in _groups(listing, dataset.kind):
        shuffled = sorted(rows, key=lambda row: _hash(listing, row))
        test = round(TEST_SHARE * len(shuffled))
        chosen[dataset.test] += shuffled[:test]
        chosen[dataset.train] += shuffled[test:]
        if dataset.val in chosen:
            chosen[dataset.val] += shuffled[test : test + round(VAL_SHARE * (len(shuffled) - test))]
    drawn = ", ".join(f"{split} {len(found)}" for split, found in chosen.items())
    why = (
        f"there is no split {dataset.test}, so it is drawn from {listing.split}"
        if listing.split
        else "nothing says which image is in which split, so they are drawn"
    )
    told = dataclasses.replace(listing, remarks=(*listing.remarks, f"{why} by a hash of the names: {drawn}"))
    parts = {split: told.rows(sorted(found), split) for split, found in chosen.items()}
    held_out = set(parts[dataset.test].paths)
    for split in [name for name in listings if name not in (UNSPLIT, *parts)]:
        paths = listings[split].paths
        parts[split] = listings[split].rows([row for row, path in enumerate(paths) if path not in held_out])
    for split, part in parts.items():
        if not part.ids:
            raise UserError(
                f"dataset: {root} holds too few images to draw the split {split} from: three of a kind are "
                "the least; or say yourself which image is in which split"
            )
    return parts


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

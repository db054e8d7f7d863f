"""Which images and classes of a data set count, of what its kind lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
import numpy as np

from ..errors import UserError
from ..files.hints import counted, did_you_mean, some_of
from ..params import Dataset
from .drawing import draw_splits
from .image_lists import leave_out_listed, refuse_empty, split_by_lists
from .listing import UNSPLIT, Listing, can_be_written
from .patterns import chosen_by, name_of


def choose(
    listings: Mapping[str, Listing], dataset: Dataset, root: str, project: Path, also: Collection[str] = ()
) -> dict[str, Listing]:
    """The splits with the images and classes that `dataset` chooses; what is left out is remarked on.

    First `include` and `exclude` say what is there, then `lists` which of it is in which split, or they are
    drawn. What the lists in `exclude` name is left out last, so that the draw is the same with them.

    Parameters
    ----------
    listings : as a `DatasetKind` gives them
    root : str
        Of the data set, for messages.
    project : Path
        The folder that list files lie in.

    Raises
    ------
    UserError
        If a list or a class is wrong, or a split is left without an image.
    """
    listings = _matching(listings, dataset)
    if dataset.lists:
        listings = split_by_lists(listings, dataset, project, also)
    elif UNSPLIT in listings or (dataset.train in listings and dataset.test not in listings):
        listings = draw_splits(listings, dataset, root)
    return with_classes(leave_out_listed(listings, dataset, project), dataset)


def _matching(listings: Mapping[str, Listing], dataset: Dataset) -> dict[str, Listing]:
    if not dataset.include and not dataset.exclude:
        return dict(listings)
    chosen = chosen_by(dataset)
    found = {}
    for split, listing in listings.items():
        names = map(name_of, listing.paths, listing.ids)
        rows = [row for row, name in enumerate(names) if chosen(name)]
        refuse_empty(len(rows), split, "dataset.include and exclude")
        if out := len(listing.ids) - len(rows):
            part = f" of {split}" if split else ""
            remark = f"dataset.include and exclude leave out {counted(out, 'image')}{part}"
            listing = dataclasses.replace(listing.rows(rows), remarks=(*listing.remarks, remark))
        found[split] = listing
    return found


def with_classes(listings: Mapping[str, Listing], dataset: Dataset) -> dict[str, Listing]:
    """The splits with the classes that `dataset.classes` names, in its order and under its names.

    All images stay: those that show none of the classes now are what others are told apart from.

    Raises
    ------
    UserError
        If a class is none of the data set's, or is named twice.
    """
    wanted = dataset.classes
    if not wanted:
        return dict(listings)
    new_names = tuple(wanted)
    old_names = dataset.class_names
    (known, *_) = (listing.classes for listing in listings.values())
    _refuse_classes(new_names, old_names, known)
    columns = [known.index(name) for name in old_names]
    renamed = dict(zip(old_names, new_names, strict=True))
    shown = np.sum([listing.labels.columns(columns).count(1) for listing in listings.values()], axis=0)
    nowhere = [name for name, images in zip(new_names, shown, strict=True) if not images]
    found = {}
    for split, listing in listings.items():
        labels = listing.labels.columns(columns)
        remarks = list(listing.remarks)
        if rest := [name for name in known if name not in renamed]:
            bare = int((listing.labels.shown() & ~labels.shown()).sum())
            remarks.append(
                f"dataset.classes leaves out {counted(len(rest), 'class', 'classes')} of {len(known)} "
                f"({some_of(rest, 5)}): {counted(bare, 'image')} of {split} showed only such"
            )
        if nowhere:
            remarks.append(f"dataset.classes: no image shows {some_of(nowhere, 5)}")
        found[split] = dataclasses.replace(
            listing,
            classes=new_names,
            labels=labels,
            objects=tuple(
                dataclasses.replace(box, name=renamed[box.name])
                for box in listing.objects
                if box.name in renamed
            ),
            disagreements=tuple(
                msgspec.structs.replace(odd, class_name=renamed[odd.class_name])
                for odd in listing.disagreements
                if odd.class_name in renamed
            ),
            remarks=tuple(remarks),
        )
    return found


def _refuse_classes(new_names: Collection[str], old_names: Collection[str], known: Collection[str]) -> None:
    if not known:
        raise UserError("dataset.classes: the data set has no classes; leave it out")
    for name in old_names:
        if name not in known:
            raise UserError(
                f"dataset.classes: {name!r} is no class of the data set{did_you_mean(name, known)}; "
                f"there are: {some_of(list(known))}"
            )
        if list(old_names).count(name) > 1:
            raise UserError(f"dataset.classes: {name} is named twice; a class has one column")
    for name in new_names:
        if not can_be_written(name):
            raise UserError(f"dataset.classes: {name!r}: a name with control characters")

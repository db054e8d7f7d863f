"""The kinds of data sets: how a data set says which images, splits and labels it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from ...errors import UserError
from ...files.hints import did_you_mean
from ...params import Dataset
from ..choosing import choose
from ..listing import Listing
from ..objects import numbered
from ..tree import Tree
from .coco import list_coco
from .folder import list_folder
from .table import list_table
from .unlabelled import list_images
from .voc import list_voc
from .webdataset import list_webdataset


class DatasetKind(Protocol):
    """Lists a data set's splits without opening an image.

    What it gives holds to this, and `tests/datasets/kind_tests.py` tries it with any kind:

    - a `Listing` for `train`, `test`, where given `val`, and those of `also`, which `splits_to_list` names;
      further ones are not used; or one of all images, as `UNSPLIT`, where nothing says which is in which
      split, or `dataset.lists` do;
    - the same classes in the same order in every split; none at all is allowed;
    - an id once in a split, and for the same image the same id in each of its splits;
    - addresses from the root that do not lead out of it; ids and paths without control characters;
    - the same data set gives the same listings, on every machine.

    What the data set says wrongly is a `UserError` of one line.
    """

    def __call__(self, tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
        """The listings by split of the data set in `tree`; `also` are splits that models need."""
        ...


KINDS: Mapping[str, DatasetKind] = {
    "voc": list_voc,
    "folder": list_folder,
    "images": list_images,
    "table": list_table,
    "coco": list_coco,
    "webdataset": list_webdataset,
}


def list_splits(
    dataset: Dataset, tree: Tree, project: Path, also: Collection[str] = ()
) -> dict[str, Listing]:
    """The splits that are named, of the data set whose images are in `tree`; no other is read.

    `project` is the folder that list files lie in.

    Raises
    ------
    UserError
        If the data set says something wrongly, or has no split of a name.
    """
    listings = KINDS[dataset.kind](tree, dataset, also)
    if dataset.objects:
        listings = numbered(listings, tree.root)
    listings = choose(listings, dataset, tree.root, project, also)
    named = dataset.splits(also)
    for name in named:
        if name not in listings:
            raise UserError(
                f"{tree.root}: no split {name}{did_you_mean(name, listings)}, "
                "which models.*.train.split names; "
                f"there are: {', '.join(listings)}"
            )
    return {name: listings[name] for name in named}

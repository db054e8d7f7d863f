"""A data set's listings, as a project with these settings would have them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pool5.datasets.choosing import choose
from pool5.datasets.kinds import KINDS
from pool5.datasets.listing import Listing
from pool5.datasets.roots import open_tree
from pool5.datasets.tree import Tree
from pool5.params import Dataset


def listed(
    kind: str,
    root: Path | str,
    train: str = "train",
    test: str = "test",
    val: str | None = None,
    also: Collection[str] = (),
    tree: Tree | None = None,
    **settings: Any,
) -> dict[str, Listing]:
    """What the kind lists under `root`, where list files lie too.

    `settings` are further ones of the section dataset; `tree` stands in the place of the folder.
    """
    asked = {"name": "any", "kind": kind, "root": str(root), "train": train, "test": test, "val": val}
    dataset = Dataset(**asked, **settings)
    listings = KINDS[kind](tree or open_tree(str(root)), dataset, also)
    return choose(listings, dataset, str(root), Path(root), also)

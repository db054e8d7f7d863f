"""Images that tables name: with their splits and labels where there are any."""

from __future__ import annotations

from collections.abc import Collection

from ...params import Dataset
from ..listing import Listing
from ..tree import Tree


def list_table(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """Every split of the tables that `dataset.files` names, else of the one in the root.

    Columns, by the names in `dataset.columns`: the image, a path from `root`, an address, or bytes; its
    split, else splits are drawn, or files are of one split each; its id, else the path without its suffix;
    and the labels, in a column a class (`table_labels.ClassColumns`) or in one for all (`NamedLabels`).

    Raises
    ------
    UserError
        One line that names the file, and the line or the split at fault.
    """
    from .table_rows import read_tables

    return read_tables(tree, dataset, also).listings(dataset, also, tree.root)

"""A data set's root, opened: a folder or a bucket."""

from __future__ import annotations

from ..files.remote import is_remote
from .remote_tree import RemoteTree
from .tree import LocalTree, Tree


def open_tree(root: str) -> Tree:
    """The tree under a root; nothing is looked at yet."""
    return RemoteTree(root) if is_remote(root) else LocalTree(root)

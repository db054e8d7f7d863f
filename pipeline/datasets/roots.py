"""A data set's root, opened: a folder or a bucket."""

from __future__ import annotations

from ..errors import UserError
from ..files.remote import is_remote
from .remote_tree import RemoteTree
from .tree import LocalTree, Tree


def open_tree(root: str) -> Tree:
    """The tree under a root; nothing is looked at yet."""
    if is_remote(root) and not root.partition("://")[2].strip("/"):
        raise UserError(f"dataset.root: {root}: names no bucket and no server; mend the address")
    return RemoteTree(root) if is_remote(root) else LocalTree(root)

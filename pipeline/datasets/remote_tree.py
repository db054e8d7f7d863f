"""What lies under a data set's root in a bucket, or on a web server."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import BinaryIO

from ..errors import UserError
from ..files.hints import counted
from ..files.remote import FIRST_TRIES, TRIES, has_listing, is_remote, list_remote, open_remote, read_remote
from ..images.address import is_taken
from .tree import Tree
from .walk import is_aside

_log = logging.getLogger(__name__)


class RemoteTree(Tree):
    """The files below an address.

    They are listed once, when they are first asked for. A web server has no list of its files: those that a
    table or a JSON names can be read, and of none is known whether it has changed.
    """

    @functools.cached_property
    def _listing(self) -> dict[str, tuple[int, str]]:
        if not has_listing(self.root):
            raise UserError(
                f"dataset.root: {self.root}: a web server has no list of its files; use kind table, coco or "
                "webdataset with dataset.files"
            )
        try:
            found = list_remote(self.root)
        except OSError as error:
            raise UserError(
                f"dataset.root: {self.root}: {error.strerror or error}; mend the address"
            ) from None
        if not found:
            raise UserError(f"dataset.root: {self.root}: nothing lies there; mend the address")
        odd = sorted(path for path in found if not {"", ".", ".."}.isdisjoint(path.split("/")))
        if odd:
            told = counted(len(odd), "key")
            _log.warning("%s: left out: %s that can be no path, as %r", self.root, told, odd[0])
        if taken := next((path for path in sorted(found) if "#" in path and is_taken(path)), None):
            raise UserError(f"{self.where(taken)}: its name is that of a part of another file; rename it")
        kept = sorted(path for path in found.keys() - set(odd) if not any(map(is_aside, path.split("/"))))
        return {path: found[path] for path in kept}

    @property
    def is_listable(self) -> bool:  # type: ignore[override]  # noqa: D102
        return has_listing(self.root)

    @functools.cached_property
    def files(self) -> Sequence[str]:  # noqa: D102 - as the base class says
        return list(self._listing)

    def read(self, path: str) -> bytes:  # noqa: D102
        tries = self._tries()
        self.opened.add(path)
        try:
            return read_remote(self.where(path), tries=tries)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refused(path, error) from None

    def open(self, path: str) -> BinaryIO:  # noqa: D102
        tries = self._tries()
        self.opened.add(path)
        try:
            return open_remote(self.where(path), tries=tries)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refused(path, error) from None

    def stamp(self, path: str) -> tuple[int | str, ...] | None:  # noqa: D102
        if is_remote(path) or not has_listing(self.root):  # a request for each would cost as much as reading
            return None
        stamp = self._listing.get(path)
        return stamp if stamp and stamp[1] else None

    def _tries(self) -> int:
        """Few at the first file: somebody has just typed the address."""
        return TRIES if self.opened else FIRST_TRIES

    def _refused(self, path: str, error: OSError) -> UserError:
        return UserError(f"{self.where(path)}: cannot be read ({error.strerror or error})")

"""What lies under a data set's root: names of files, and the small ones' content."""

from __future__ import annotations

import abc
import functools
import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import UserError
from .walk import Found, look_through, refuse_loop


class Tree(abc.ABC):
    """The files under a root, seen once; no image is opened.

    Attributes
    ----------
    root : str
        A folder's path, or an address.
    is_listable : bool
        Whether it is known what files there are; not on a web server.
    nowhere : sequence of str
        Names that lead to no file, as links whose target is gone.
    links : sequence of str
        Links to folders outside of the root, which are followed.
    opened : set of str
        The files that have been read.
    again : {link: folder}
        Links to folders that are found in the tree anyway; what is behind them stands once in `files`.
    kept : Path, optional
        A folder for what was found in large files, by their stamps.
    """

    kept: Path | None = None
    is_listable: bool = True
    nowhere: Sequence[str] = ()
    links: Sequence[str] = ()
    again: Mapping[str, str] = {}

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or root
        self.opened: set[str] = set()

    @property
    @abc.abstractmethod
    def files(self) -> Sequence[str]:
        """Every file, as a path from the root with `/`, sorted; hidden ones and those of systems aside.

        Raises
        ------
        UserError
            If the root is none, or something in it cannot be listed.
        """

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """A file's content; `FileNotFoundError` where there is none, `UserError` where it cannot be had."""

    @abc.abstractmethod
    def open(self, path: str) -> BinaryIO:
        """A large file's content, to read from and to seek in; errors as of `read`."""

    @abc.abstractmethod
    def stamp(self, path: str) -> tuple[int | str, ...] | None:
        """What is another one, most likely, when the file's bytes are: sizes, times, an etag.

        None where nothing is known.
        """

    def where(self, path: str) -> str:
        """The path or address of a file, for messages and for reading."""
        return f"{self.root}/{path}"

    @property
    def folders(self) -> Sequence[str]:
        """The folders directly in the root, by name."""
        return sorted({path.partition("/")[0] for path in self.files if "/" in path} | self._links_in(""))

    def subfolders(self, folder: str) -> list[str]:
        """The names of the folders with files directly in a folder."""
        start = len(folder) + 1 if folder else 0
        inside = (path[start:].partition("/") for path in self.under(folder))
        return sorted({name for name, below, _ in inside if below} | self._links_in(folder))

    def under(self, folder: str, inside: tuple[str, ...] = ()) -> Sequence[str]:
        """The files in a folder and below it, as paths from the root, sorted; of a folder '', all.

        A link in it to a folder elsewhere in the tree is followed; one to what is in it is not.

        Parameters
        ----------
        inside : the folders whose links have led here, each with a `/`
        """
        files = self.files
        if not folder:
            return files
        prefix = f"{folder}/"
        home = self.home(prefix)
        # '0' comes after '/'
        found = files[bisect_left(files, home) : bisect_left(files, f"{home[:-1]}0")]
        if not self.again:
            return found
        found, inside = list(found), (*inside, home)
        for link, target in self.again.items():
            there = f"{target}/"
            if not link.startswith(home):
                continue
            if any(known.startswith(there) for known in inside):
                refuse_loop(self.where(link), self.where(target))
            if not there.startswith(inside):
                found += [link + path[len(target) :] for path in self.under(target, inside)]
        return sorted(prefix + path[len(home) :] for path in found)

    def home(self, path: str) -> str:
        """A path in `files`, where `path` leads to it through a link in `again`."""
        for link, target in self.again.items():
            if path.startswith(f"{link}/"):
                return self.home(f"{target}/{path[len(link) + 1 :]}")
        return path

    def _links_in(self, folder: str) -> set[str]:
        home = self.home(f"{folder}/") if folder else ""
        places = (link.rpartition("/") for link in self.again)
        return {name for place, slash, name in places if place + slash == home}


class LocalTree(Tree):
    """The files in a folder, and in those elsewhere that links lead to."""

    @functools.cached_property
    def _found(self) -> Found:
        return look_through(self.root)

    @property
    def files(self) -> Sequence[str]:  # noqa: D102 - as the base class says
        return self._found.files

    @property
    def folders(self) -> Sequence[str]:  # noqa: D102 - empty ones too
        return self._found.folders

    @property
    def nowhere(self) -> Sequence[str]:  # type: ignore[override]  # noqa: D102
        return self._found.nowhere

    @property
    def links(self) -> Sequence[str]:  # type: ignore[override]  # noqa: D102
        return self._found.links

    @property
    def again(self) -> Mapping[str, str]:  # type: ignore[override]  # noqa: D102
        return self._found.again

    @property
    def folder(self) -> Path:
        """The root."""
        return Path(self.root)

    def read(self, path: str) -> bytes:  # noqa: D102
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:  # noqa: D102
        self.opened.add(path)
        try:
            return open(self.where(path), "rb")  # noqa: PTH123 - ten thousand annotations are opened
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(f"{self.where(path)}: cannot be read ({error.strerror})") from None

    def stamp(self, path: str) -> tuple[int | str, ...] | None:  # noqa: D102
        status = os.stat(self.where(path))  # noqa: PTH116 - a million files are asked for theirs
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino

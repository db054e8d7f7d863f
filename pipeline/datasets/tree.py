"""What lies under a data set's root: names of files, and the small ones' content."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import UserError
from ..files.remote import is_remote


class Tree(abc.ABC):
    """The files under a root, seen once; no image is opened.

    Attributes
    ----------
    root : str
        A folder's path, or an address.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or root

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


class LocalTree(Tree):
    """The files in a folder."""

    @property
    def folder(self) -> Path:
        """The root."""
        return Path(self.root)

    @property
    def files(self) -> Sequence[str]:  # noqa: D102 - as the base class says
        from .image_tree import refuse_unreadable, walk

        return sorted(
            (place / name).relative_to(self.folder).as_posix()
            for place, names in walk(self.folder, refuse_unreadable)
            for name in names
        )

    def read(self, path: str) -> bytes:  # noqa: D102
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:  # noqa: D102
        try:
            return (self.folder / path).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(f"{self.where(path)}: cannot be read ({error.strerror})") from None

    def stamp(self, path: str) -> tuple[int | str, ...] | None:  # noqa: D102
        status = (self.folder / path).stat()
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def open_tree(root: str) -> Tree:
    """The tree under a root; nothing is looked at yet."""
    if is_remote(root):
        raise UserError(f"dataset.root: {root}: only folders can be read")
    return LocalTree(root)

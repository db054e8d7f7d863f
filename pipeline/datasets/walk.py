"""One walk through a folder: its files, and what its links lead to."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import NoReturn

from ..errors import UserError
from ..images.address import is_taken

# what systems and archives leave behind: neither a class, nor searched for images, nor counted
OF_THE_SYSTEM = frozenset([
    "#recycle", "$RECYCLE.BIN", "@Recycle", "@eaDir", "Desktop.ini", "Icon\r", "System Volume Information",
    "Thumbs.db", "__MACOSX", "desktop.ini", "ehthumbs.db", "lost+found", "thumbs.db",
])  # fmt: skip


def is_aside(name: str) -> bool:
    """Whether a file or folder is hidden, or the system's."""
    return name.startswith(".") or name in OF_THE_SYSTEM


@dataclasses.dataclass
class Found:
    """What is in a folder, as paths from it; `Tree` says what is what."""

    files: list[str] = dataclasses.field(default_factory=list)
    folders: list[str] = dataclasses.field(default_factory=list)
    nowhere: list[str] = dataclasses.field(default_factory=list)
    links: list[str] = dataclasses.field(default_factory=list)
    again: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Place:
    """A folder on the way.

    Attributes
    ----------
    prefix : str
        Its path from the root and a `/`; nothing for the root.
    real : str
        Where it is.
    bases : tuple of (prefix, real path)
        Of the root and of each link that has led here, the last one last.
    left : tuple of str
        The real folders of those links.
    """

    prefix: str
    real: str
    bases: tuple[tuple[str, str], ...]
    left: tuple[str, ...] = ()


def look_through(root: str) -> Found:
    """List what is in a folder, in one walk that asks the system nothing about plain files.

    Links to folders outside of it are followed. One to a folder that is found in it anyway is noted in
    `again`. One to a folder that it lies in, or that another link has led from, is a loop.

    Raises
    ------
    UserError
        If there is no such folder, one cannot be read, a link leads in a loop, or the name of a file would be
        read as an address of something else.
    """
    if not os.path.isdir(root):  # noqa: PTH112
        raise UserError(
            f"dataset.root: {root}: no such folder; put the data set there, or mend the path in params.yaml"
        )
    real = os.path.realpath(root)
    found, waiting = Found(), [_Place("", real, (("", real),))]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place.real) as entries:
                waiting += _look_at(entries, place, root, found)
        except OSError as error:
            raise UserError(
                f"{root}/{place.prefix}".rstrip("/")
                + f": cannot be read ({error.strerror}); make it readable, or move it elsewhere"
            ) from None
    for names in (found.files, found.folders, found.nowhere, found.links):
        names.sort()
    found.again = dict(sorted(found.again.items()))
    return found


def _look_at(entries: Iterator[os.DirEntry[str]], place: _Place, root: str, found: Found) -> list[_Place]:
    """Note what is in a folder; the folders in it are still to be looked at."""
    inner = []
    for entry in entries:
        name, path = entry.name, place.prefix + entry.name
        if is_aside(name):
            continue
        if _is(entry.is_file):
            if "#" in path and is_taken(path):
                raise UserError(f"{root}/{path}: its name is that of a part of another file; rename it")
            found.files.append(path)
        elif not _is(entry.is_dir):
            found.nowhere.append(path)
        else:
            if not place.prefix:
                found.folders.append(name)
            if not entry.is_symlink():
                inner.append(_Place(f"{path}/", f"{place.real}/{name}", place.bases, place.left))
            elif (behind := _follow(path, place, root, found)) is not None:
                inner.append(behind)
    return inner


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # a link to itself, or into a closed folder
        return False


def _follow(link: str, place: _Place, root: str, found: Found) -> _Place | None:
    """The folder behind a link, if it is to be looked at."""
    target = os.path.realpath(f"{root}/{link}")
    if any(_within(folder, target) for folder in (*place.left, place.real)):
        refuse_loop(f"{root}/{link}", target)
    for prefix, base in reversed(place.bases):
        inside = os.path.relpath(target, base)
        if _within(target, base) and not any(map(is_aside, inside.split("/"))):
            found.again[link] = prefix + inside
            return None
    if not _within(target, place.bases[0][1]):
        found.links.append(link)
    return _Place(f"{link}/", target, (*place.bases, (f"{link}/", target)), (*place.left, place.real))


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def refuse_loop(link: str, target: str) -> NoReturn:
    """Stop at a link that would be followed for ever."""
    raise UserError(f"{link}: a link to {target}, which leads back to it: a loop; remove the link")

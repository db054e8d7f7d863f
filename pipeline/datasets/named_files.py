"""Files by the names that lists give them: without an ending, and in either of Unicode's forms."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from posixpath import splitext

from PIL import Image

from .image_tree import refuse_unreadable, walk


class NamedFiles:
    """The files in a folder and below it; hidden ones do not count.

    Parameters
    ----------
    folder : Path
        There are no files if it is missing.
    endings : sequence of str
        In lower case, the one that counts most first; the case of a file's ending does not matter.
    others : bool
        Whether files with other endings count too, where a name has none with these.
    """

    def __init__(self, folder: Path, endings: Sequence[str], *, others: bool = False) -> None:
        self.folder = folder
        self._by_name: dict[str, list[str]] = {}
        found = []
        for place, names in walk(folder, refuse_unreadable) if folder.is_dir() else ():
            inside = "" if place == folder else f"{place.relative_to(folder).as_posix()}/"
            for file in names:
                name, ending = splitext(inside + file)
                known = ending.lower() in endings
                if known or others:
                    found.append((ending != endings[0], not known, inside + file, name))
        for _, _, path, name in sorted(found):
            self._by_name.setdefault(composed(name), []).append(path)

    def __contains__(self, name: str) -> bool:
        return bool(self.named(name))

    def named(self, name: str) -> list[str]:
        """The paths from the folder of the files that have the name, the one that counts most first."""
        found = self._by_name.get(composed(name), [])
        # a Mac's names are decomposed where lists are composed
        return [path for path in found if path.startswith(name)] or found


def composed(name: str) -> str:
    """A name in Unicode's composed form, NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def likeliest_image(folder: Path, paths: Sequence[str]) -> str:
    """Among files of one name with unknown endings: the first whose content is an image, else the largest."""
    for path in paths:
        try:
            with Image.open(folder / path):
                return path
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return max(paths, key=lambda path: (folder / path).stat().st_size)

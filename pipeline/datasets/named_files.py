"""Files by the names that lists give them: without an ending, and in either of Unicode's forms."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from posixpath import splitext

from PIL import Image

from .tree import Tree


class NamedFiles:
    """The files in a folder of a tree and below it.

    Parameters
    ----------
    tree : Tree
    folder : str
        From the root; there are no files if it is missing.
    endings : sequence of str
        In lower case, the one that counts most first; the case of a file's ending does not matter.
    others : bool
        Whether files with other endings count too, where a name has none with these.
    """

    def __init__(self, tree: Tree, folder: str, endings: Sequence[str], *, others: bool = False) -> None:
        self.tree, self.folder = tree, folder
        self._by_name: dict[str, list[str]] = {}
        found = []
        for path in tree.under(folder):
            inside = path[len(folder) + 1 :] if folder else path
            name, ending = splitext(inside)
            known = ending.lower() in endings
            if known or others:
                found.append((ending != endings[0], not known, inside, name))
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


def likeliest_image(tree: Tree, paths: Sequence[str]) -> str:
    """Among files of one name with unknown endings: the first whose content is an image, else the largest."""
    if len(paths) == 1:
        return paths[0]
    sizes = {}
    for path in paths:
        with tree.open(path) as file:
            try:
                with Image.open(file):
                    return path
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                sizes[path] = file.seek(0, 2)
    return max(paths, key=sizes.__getitem__)

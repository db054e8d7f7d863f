"""VOC's lists of images: a name a line in a split's, a name and a label in a class's."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from posixpath import basename, splitext

import numpy as np

from ...errors import UserError
from ...files.hints import did_you_mean
from ...images.image_formats import SUFFIXES
from ..listing import refuse_duplicates, refuse_unsafe
from ..named_files import NamedFiles, composed, likeliest_image
from ..tree import Tree

_LABELS = ("1", "+1", "-1", "0")


@dataclasses.dataclass(frozen=True)
class ImageSets:
    """The lists in a devkit's ImageSets/Main, and the images that they name.

    Names may hold spaces, be in quotes, lead into folders and carry an image's ending; a line that begins
    with # is a comment, unless an image is named so.
    """

    tree: Tree
    folder: str
    images: NamedFiles
    annotations: NamedFiles

    def splits(self) -> list[str]:
        """Names of the lists of images: class lists have a label beside each name."""
        return [_stem(path) for path in self._files() if self._lists_images(path)]

    def class_lists(self, splits: Sequence[str]) -> dict[str, dict[str, str]]:
        """By split and class. The longest split counts: `cat_my_test` is of `my_test` if that is a split."""
        found: dict[str, dict[str, str]] = {}
        for path in self._files():
            stem = _stem(path)
            owners = [split for split in splits if stem.endswith(f"_{split}")]
            if owners and stem not in splits:
                split = max(owners, key=len)
                found.setdefault(split, {})[composed(stem.removesuffix(f"_{split}"))] = path
        return found

    def ids(self, split: str) -> tuple[str, ...]:
        """The images of a split, in the order of its list."""
        path = f"{self.folder}/{split}.txt"
        where = self.tree.where(path)
        ids = []
        for number, line in self._lines(path):
            image_id = self._id(line)
            refuse_unsafe(image_id, f"{where}:{number}")
            ids.append(image_id)
        if not ids:
            raise UserError(
                f"{where}: an empty split; list its images there, one name a line, or name another"
            )
        refuse_duplicates(ids, where)
        return tuple(ids)

    def labels(self, path: str, ids: tuple[str, ...]) -> np.ndarray:
        """A class list's labels, in the order of `ids`: (N,) int8."""
        where = self.tree.where(path)
        row_of = {image_id: row for row, image_id in enumerate(ids)}
        labels = np.full(len(ids), -2, dtype=np.int8)
        for number, line in self._lines(path):
            name, label = [*line.rsplit(maxsplit=1), ""][:2]
            row = row_of.get(name if name in row_of else self._id(name))
            if label not in _LABELS or (row is None and len(name.split()) > 1):
                raise UserError(f"{where}:{number}: {line!r} is not an image's name and 1, -1 or 0")
            if row is None:
                hint = did_you_mean(name, ids)
                raise UserError(
                    f"{where}:{number}: {name} is not in the split's own list{hint}; remove the line"
                )
            if labels[row] != -2:
                raise UserError(f"{where}:{number}: {name} is listed twice; remove one of the lines")
            labels[row] = int(label)
        if (missing := np.flatnonzero(labels == -2)).size:
            raise UserError(
                f"{where}: {missing.size} images of the split have no label there, such as "
                f"{ids[missing[0]]}; add them"
            )
        return labels

    def image(self, image_id: str) -> str:
        """The path of an image from its folder: that with a known ending, else that which is one inside."""
        found = self.images.named(image_id)
        if not found:  # two pictures that differ in their ending alone
            found = [p for p in self.images.named(splitext(image_id)[0]) if p == image_id]
        if not found:
            return f"{image_id}.jpg"
        if splitext(found[0])[1].lower() in SUFFIXES:
            return found[0]
        place = f"{self.images.folder}/"
        return likeliest_image(self.tree, [place + path for path in found])[len(place) :]

    def annotation(self, image_id: str) -> str | None:
        """The file from the root with an image's objects, if there is one."""
        found = self.annotations.named(image_id)
        if not found and splitext(image_id)[1].lower() in SUFFIXES:
            found = self.annotations.named(splitext(image_id)[0])
        return f"{self.annotations.folder}/{found[0]}" if found else None

    def _id(self, name: str) -> str:
        """The image that a list means; its ending is part of the id where two pictures differ in it alone."""
        if len(name) > 2 and name[0] == name[-1] == '"' and name not in self.images:
            name = name[1:-1]
        base, ending = splitext(name)
        if ending.lower() not in SUFFIXES or name in self.images or name in self.annotations:
            return name
        same = self.images.named(base)
        return name if name in same[1:] else base

    def _lists_images(self, path: str) -> bool:
        _, line = next(self._lines(path, errors="replace"), (0, ""))
        words = line.split()
        return len(words) < 2 or words[-1] not in _LABELS or self._known(line)

    def _known(self, name: str) -> bool:
        image_id = self._id(name)
        return image_id in self.images or self.annotation(image_id) is not None

    def _files(self) -> list[str]:
        start = len(self.folder) + 1
        files = (path for path in self.tree.under(self.folder) if path.endswith(".txt"))
        return [path for path in files if "/" not in path[start:]]

    def _lines(self, path: str, errors: str = "strict") -> Iterator[tuple[int, str]]:
        """The lines that say something, with their numbers."""
        text = io.TextIOWrapper(io.BytesIO(self.tree.read(path)), encoding="utf-8-sig", errors=errors)
        try:
            for number, line in enumerate(map(str.strip, text), start=1):
                if line and (line[0] != "#" or self._known(line) or self._known(line.rsplit(maxsplit=1)[0])):
                    yield number, line
        except UnicodeDecodeError:
            raise UserError(f"{self.tree.where(path)}: not a text file in UTF-8; write it again") from None


def _stem(path: str) -> str:
    return basename(path).removesuffix(".txt")

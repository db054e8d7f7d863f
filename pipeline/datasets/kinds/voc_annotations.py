"""Annotations in VOC's XML: the objects of an image, and what in them was odd."""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Collection

from ...errors import UserError
from ...files.hints import counted, did_you_mean, some_of
from ..listing import ObjectBox
from ..named_files import composed
from ..tree import Tree

_BESIDE = frozenset([
    "annotation", "filename", "folder", "image", "objects", "owner", "path", "segmented", "size", "source",
])  # fmt: skip
_OBJECT = frozenset([
    "actions", "attributes", "bndbox", "deleted", "difficult", "id", "name", "occluded", "part", "parts",
    "point", "polygon", "pose", "segm", "truncated", "type", "verified",
])  # fmt: skip
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


class Annotations:
    """The objects of each image, read once however many splits name it.

    Tags count by their names, whatever their case and namespace and however deep the objects are. Exact in
    `name`, `difficult` and `bndbox`, which decide labels and sizes; what is odd beside them is counted.

    Parameters
    ----------
    tree : Tree
        That the annotations lie in.
    known : collection of str
        The classes that there are; any other is refused. Empty: any class is one.
    where : str
        What names the classes, for the message.
    """

    def __init__(self, tree: Tree, known: Collection[str] = (), where: str = "") -> None:
        self._tree, self._known, self._where = tree, known, where
        self._owner: dict[str, str] = {}
        self._read: dict[str, list[ObjectBox]] = {}
        self._unread: Counter[str] = Counter()
        self._truncated: Counter[str] = Counter()

    def of(self, image_id: str, path: str) -> list[ObjectBox]:
        """The objects that the annotation of an image names.

        Raises
        ------
        UserError
            If the file is no annotation, or another image's, or what decides a label is missing or wrong.
        """
        owner = self._owner.setdefault(path, composed(image_id))
        if owner != composed(image_id):
            where = self._tree.where(path)
            raise UserError(f"{where}: {owner} and {image_id} are both named as it; give each its own")
        if image_id not in self._read:
            self._read[image_id] = self._boxes(image_id, path)
        return self._read[image_id]

    def remarks(self) -> tuple[str, ...]:
        """A sentence for each kind of oddity in what was read so far."""
        remarks = []
        if self._truncated:
            remarks.append(
                f"<truncated> is neither 0 nor 1 in {counted(self._truncated.total(), 'object')} "
                f"({_amounts(self._truncated)}); objects.csv leaves it empty there"
            )
        if self._unread:
            remarks.append(
                f"the annotations have tags that are not VOC's and are not read: {_amounts(self._unread)}"
            )
        return tuple(remarks)

    def _boxes(self, image_id: str, path: str) -> list[ObjectBox]:
        where = self._tree.where(path)
        try:
            root = ET.fromstring(self._tree.read(path))
        except (ET.ParseError, ValueError, LookupError, OSError) as error:
            raise UserError(f"{where}: not an annotation in XML ({error}); mend or remove it") from None
        objects = _objects_in(root)
        if objects != [root]:
            tags = [_plain(child.tag) for child in root if not _objects_in(child)]
            self._unread.update(f"<{tag}>" for tag in tags if tag not in _BESIDE)
        return [self._box(image_id, element, where) for element in objects]

    def _box(self, image_id: str, element: ET.Element, path: str) -> ObjectBox:
        fields = {_plain(child.tag): child for child in reversed(element)}
        self._unread.update(f"<{tag}>" for tag in fields.keys() - _OBJECT)
        name, difficult, truncated = (_text(fields.get(tag)) for tag in ("name", "difficult", "truncated"))
        name = composed(name)
        if not name:
            raise UserError(f"{path}: an object without a name; add <name> to it")
        if self._known and name not in self._known:
            raise UserError(f"{path}: unknown class {name!r}{did_you_mean(name, self._known)}; {self._where}")
        if difficult.lower() not in _FLAGS:
            raise UserError(f"{path}: <difficult> is {difficult!r}; allowed: 0, 1")
        if truncated.lower() not in _FLAGS:
            self._truncated[truncated] += 1
        return ObjectBox(
            id=image_id,
            name=name,
            difficult=_FLAGS[difficult.lower()],
            truncated=_FLAGS.get(truncated.lower()),
            corners=_corners(fields.get("bndbox"), path),
        )


@functools.lru_cache(1024)
def _plain(tag: str) -> str:
    """A tag without its namespace, in lower case."""
    return tag.rpartition("}")[2].lower()


def _objects_in(element: ET.Element) -> list[ET.Element]:
    return [inner for inner in element.iter() if _plain(inner.tag) == "object"]


def _text(element: ET.Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _corners(box: ET.Element | None, path: str) -> tuple[int, int, int, int] | None:
    if box is None:
        return None
    fields = {_plain(child.tag): child.text or "" for child in box}
    try:
        # some of VOC 2011's are fractions
        xmin, ymin, xmax, ymax = (round(float(fields[name])) for name in ("xmin", "ymin", "xmax", "ymax"))
    except (KeyError, ValueError, OverflowError):
        raise UserError(f"{path}: a <bndbox> without the four numbers xmin, ymin, xmax, ymax") from None
    return xmin, ymin, xmax, ymax


def _amounts(counts: Counter[str]) -> str:
    """`0.06: 45, Unspecified: 2`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return some_of([f"{name[:40]}: {amount}" for name, amount in ordered], 5)

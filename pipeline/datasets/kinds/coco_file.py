"""A file of COCO's: images, categories in their order, and an annotation a box, as columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from ...errors import UserError
from ...files.hints import counted, some_of
from ...labels import Labels
from ..listing import ObjectBox, can_be_written

_FARTHEST = 10**7  # from the origin, in pixels; what is farther is no box


class Image(msgspec.Struct, frozen=True, gc=False):
    """An image; `coco_url` is an address of it elsewhere."""

    id: int | str
    file_name: str
    coco_url: str = ""


class _Category(msgspec.Struct, frozen=True, gc=False):
    id: int | str
    name: str


class _Annotation(msgspec.Struct, frozen=True, gc=False):
    image_id: int | str
    category_id: int | str
    bbox: tuple[float, ...] | None = None
    iscrowd: bool | int = False


class _File(msgspec.Struct, frozen=True):
    """What is read of a file; whatever else is in it is passed over."""

    images: list[Image]
    categories: list[_Category] = []
    annotations: list[_Annotation] | None = None


@dataclasses.dataclass(frozen=True)
class CocoFile:
    """N images, C classes and M annotations.

    Attributes
    ----------
    where : str
        The file.
    images : list of N Image
    classes : tuple of C str
    rows, columns : (M,) int64
        The image and the class of each annotation.
    crowd : (M,) bool
    corners : (M, 4) int64
        As `ObjectBox` has them; zeros where there is no box, or an empty one.
    remarks : tuple of str
    """

    where: str
    images: Sequence[Image]
    classes: tuple[str, ...]
    rows: np.ndarray
    columns: np.ndarray
    crowd: np.ndarray
    corners: np.ndarray
    remarks: tuple[str, ...]

    def labels(self, classes: Sequence[str]) -> Labels:
        """Of all images, for `classes`: 1 where a box is no crowd, 0 where all are, else -1.

        All are 0, not known, where the file has no annotations.
        """
        shape = len(self.images), len(classes)
        if not len(self.rows):
            return Labels.dense(np.zeros(shape, np.int8))
        column_of = {name: column for column, name in enumerate(classes)}
        columns = np.array([column_of[name] for name in self.classes], np.int64)[self.columns]
        places, which = np.unique(self.rows * len(classes) + columns, return_inverse=True)
        values = np.zeros(len(places), np.int8)
        values[which[~self.crowd]] = 1
        return Labels.of(*np.divmod(places, len(classes)), values, shape)

    def boxes(self, ids: Sequence[str]) -> tuple[ObjectBox, ...]:
        """The objects of the images, whose ids these are: image by image, in the file's order."""
        order = np.argsort(self.rows, kind="stable")
        columns = (self.rows[order], self.columns[order], self.crowd[order], self.corners[order])
        return tuple(
            ObjectBox(ids[row], self.classes[column], crowd, None, tuple(box) if any(box) else None)
            for row, column, crowd, box in zip(*(values.tolist() for values in columns), strict=True)
        )


def read_coco_file(data: bytes, where: str) -> CocoFile:
    """Read a file's content; `where` names it in messages.

    A box is `[x, y, width, height]`, in fractions of pixels from the picture's upper left corner. Its edges
    are moved to the nearest ones between two pixels, half to the even one: `xmin` is `round(x) + 1` and
    `xmax` is `round(x + width)`, and no side is shorter than a pixel. Ids 7 and "7" are one.

    Raises
    ------
    UserError
        One line that names what is at fault in the file.
    """
    try:
        file = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{where}: not a JSON of COCO's, with images, categories and the boxes of objects ({error})"
        ) from None
    if not file.images:
        raise UserError(f"{where}: names no images; add them to images")
    row_of = _numbered((image.id for image in file.images), where, "images")
    _refuse_names(file, where)
    classes = tuple(dict.fromkeys(category.name for category in file.categories))
    own, columns = _own(file, row_of, classes, where)
    corners, empty = _corners(own, where)
    return CocoFile(
        where,
        file.images,
        classes,
        np.array([row_of[str(found.image_id)] for found in own], np.int64),
        np.array(columns, np.int64),
        np.array([found.iscrowd for found in own], bool),
        corners,
        tuple(_remarks(file, where, len(own), empty)),
    )


def _own(
    file: _File, row_of: Mapping[str, int], classes: Sequence[str], where: str
) -> tuple[list[_Annotation], list[int]]:
    """The annotations of the file's images, and the class of each."""
    numbers = _numbered((category.id for category in file.categories), where, "categories")
    column_of = {name: classes.index(file.categories[number].name) for name, number in numbers.items()}
    own = [found for found in file.annotations or () if str(found.image_id) in row_of]
    if file.annotations and not own:
        raise UserError(
            f"{where}: its annotations are of other images than it has: there is none of id "
            f"{file.annotations[0].image_id!r}"
        )
    for found in own:
        if str(found.category_id) not in column_of:
            raise UserError(
                f"{where}: an annotation of image {found.image_id!r} is of category {found.category_id!r}, "
                "and there is none of that id; add it to categories"
            )
        if found.iscrowd not in (0, 1):
            raise UserError(
                f"{where}: iscrowd of an annotation of image {found.image_id!r} is {found.iscrowd}; allowed: "
                "0, 1"
            )
    return own, [column_of[str(found.category_id)] for found in own]


def _numbered(ids: Iterable[int | str], where: str, of: str) -> dict[str, int]:
    """{id: number}."""
    numbers: dict[str, int] = {}
    for number, name in enumerate(map(str, ids)):
        if name in numbers:
            raise UserError(f"{where}: two of {of} have the id {name}; give each its own")
        numbers[name] = number
    return numbers


def _refuse_names(file: _File, where: str) -> None:
    owner: dict[str, int | str] = {}
    for image in file.images:
        if image.file_name in owner:
            first = owner[image.file_name]
            raise UserError(
                f"{where}: {image.file_name} is the file of image {first!r} and of {image.id!r}; remove one"
            )
        owner[image.file_name] = image.id
    for category in file.categories:
        if not category.name.strip() or not can_be_written(category.name):
            raise UserError(f"{where}: category {category.id!r} is named {category.name!r}, which is no name")


def _corners(annotations: Sequence[_Annotation], where: str) -> tuple[np.ndarray, list[int | str]]:
    """The corners, (M, 4) int64, and the images of boxes without an area."""
    for found in annotations:
        if found.bbox and (len(found.bbox) != 4 or max(map(abs, found.bbox)) > _FARTHEST):
            raise UserError(
                f"{where}: bbox of an annotation of image {found.image_id!r} is {list(found.bbox)}; "
                "[x, y, width, height] in pixels is needed"
            )
    boxes = np.array([found.bbox or (0.0,) * 4 for found in annotations], np.float64).reshape(-1, 4)
    start, end = np.rint(boxes[:, :2]), np.rint(boxes[:, :2] + boxes[:, 2:])
    corners = np.concatenate([start + 1, np.maximum(end, start + 1)], axis=1).astype(np.int64)
    empty = (boxes[:, 2:] <= 0).any(axis=1)
    corners[empty] = 0
    return corners, [
        annotations[row].image_id for row in np.flatnonzero(empty).tolist() if annotations[row].bbox
    ]


def _remarks(file: _File, where: str, own: int, empty: Sequence[int | str]) -> Iterable[str]:
    if not file.annotations:
        yield f"{where} has no annotations: of its {counted(len(file.images), 'image')} no label is known"
    if strange := len(file.annotations or ()) - own:
        yield f"{where}: {counted(strange, 'annotation')} of images that it does not have left out"
    if empty:
        images = some_of([str(name) for name in dict.fromkeys(empty)], 5)
        yield (
            f"{where}: {counted(len(empty), 'box', 'boxes')} without an area, which count as labels and not "
            f"as boxes: of image {images}"
        )
    names = [category.name for category in file.categories]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}: more than one category is named {some_of(twice)}: they count as one class"

"""A row for every annotated box instead of every image."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ..errors import UserError
from ..files.hints import counted, some_of
from ..images.image_bytes import part_digest
from ..labels import Labels
from .image_facts import Facts
from .listing import Listing, ObjectBox
from .manifest import Manifest

_FARTHEST = 10.0**9  # from the picture's corner, in pixels: VOC's numbers may be any


@dataclasses.dataclass(frozen=True)
class LostBoxes:
    """Ids of the objects that give no row.

    Attributes
    ----------
    bare : list of str
        That have no box.
    outside : list of str
        Whose box has no area, or lies outside of the picture.
    """

    bare: list[str] = dataclasses.field(default_factory=list)
    outside: list[str] = dataclasses.field(default_factory=list)

    def remarks(self, split: str) -> Iterable[str]:
        """A sentence for each kind."""
        kinds = (self.bare, "without a box"), (self.outside, "whose box is empty or off the picture")
        for ids, why in kinds:
            if ids:
                yield f"split {split}: {counted(len(ids), 'object')} {why} left out: {some_of(ids, 5)}"


def object_rows(
    images: Mapping[str, Manifest], listings: Mapping[str, Listing], facts: Facts, margin: float
) -> tuple[dict[str, Manifest], list[str]]:
    """The objects on the images of each split (`objects_of`), and what is to be told of them."""
    rows: dict[str, Manifest] = {}
    remarks: list[str] = []
    amounts = []
    for split, manifest in images.items():
        turned = facts.table["turned"][facts.rows(manifest.paths.tolist())]
        rows[split], lost = objects_of(manifest, listings[split].objects, turned, margin)
        remarks += lost.remarks(split)
        amounts.append(f"{len(rows[split])} on {counted(len(manifest), 'image')} of {split}")
    told = f"a row is an annotated object, and so is what results call an image: {some_of(amounts)}"
    return rows, [told, *remarks]


def objects_of(
    images: Manifest, boxes: Iterable[ObjectBox], turned: np.ndarray, margin: float
) -> tuple[Manifest, LostBoxes]:
    """The manifest of the objects on some images, in the order of `boxes`.

    The id of an image's third object is `<image>#3`, its label its class (0 if it is difficult), and every
    other class absent. What counts of the picture is the box with a margin around it, clipped to the picture
    and never less than a pixel; the picture is the upright one, as whoever drew the box has seen it.

    Parameters
    ----------
    boxes : iterable of ObjectBox
        Those of other images are passed over.
    turned : (N,) bool
        Whether an image's upright picture is as wide as the stored one is high.
    margin : float
        On each side, as a share of the box's width or height.

    Raises
    ------
    UserError
        If no object gives a row.
    """
    row_of = {name: row for row, name in enumerate(images.ids.tolist())}
    own = [box for box in boxes if box.id in row_of]
    rows = np.array([row_of[box.id] for box in own], np.int64)
    sizes = np.where(turned[:, None], images.sizes[:, ::-1], images.sizes)[rows]
    corners = np.array([box.corners or (0, 0, 0, 0) for box in own], np.float64).reshape(-1, 4)
    crops, inside = _crops(corners, sizes, margin)
    ids = [_id_of(box) for box in own]
    lost = LostBoxes(
        [name for name, box in zip(ids, own, strict=True) if box.corners is None],
        [ids[row] for row in np.flatnonzero(~inside) if own[row].corners is not None],
    )
    kept = np.flatnonzero(inside)
    if not len(kept):
        raise UserError(
            f"split {images.split}: none of its {counted(len(images), 'image')} has an annotated box; set "
            "dataset.objects: false to have a row of each image"
        )
    parts = crops[kept].tolist()
    paths = images.paths[rows[kept]].tolist()
    digests = (images.digests[row].tobytes() for row in rows[kept])
    return Manifest(
        split=images.split,
        classes=images.classes,
        ids=np.array([ids[row] for row in kept]),
        paths=np.array(
            [f"{path}#xywh={','.join(map(str, part))}" for path, part in zip(paths, parts, strict=True)]
        ),
        digests=np.frombuffer(b"".join(map(part_digest, digests, parts)), np.uint8).reshape(-1, 16),
        sizes=crops[kept, 2:].astype(np.int32),
        labels=_labels([own[row] for row in kept], images.classes),
    ), lost


def without_objects(listing: Listing, names: Collection[str], why: str) -> tuple[Listing, set[str]]:
    """The listing without the objects that `why` names by their ids, which are given as well."""
    gone = {_id_of(box) for box in listing.objects} & set(names)
    if not gone:
        return listing, gone
    boxes = tuple(box for box in listing.objects if _id_of(box) not in gone)
    remark = f"{why} leaves out {counted(len(gone), 'object')} of {listing.split}"
    return dataclasses.replace(listing, objects=boxes, remarks=(*listing.remarks, remark)), gone


def objects_ahead(listing: Listing) -> Listing:
    """What `objects_of` will give of a split, as far as it is known before an image is opened."""
    path_of = dict(zip(listing.ids, listing.paths, strict=True))
    ids = {_id_of(box): box for box in listing.objects if box.corners}
    paths = tuple(path_of[box.id] for box in ids.values())
    labels = _labels(list(ids.values()), listing.classes)
    return dataclasses.replace(listing, ids=tuple(ids), paths=paths, labels=labels)


def numbered(listings: Mapping[str, Listing], where: str) -> dict[str, Listing]:
    """The listings with a number at each object, whichever of them count afterwards.

    Raises
    ------
    UserError
        If no box is annotated.
    """
    if not any(box.corners for listing in listings.values() for box in listing.objects):
        raise UserError(
            f"dataset.objects: {where} has no annotated boxes, as kind voc and kind coco may have; set it to "
            "false"
        )
    found = {}
    for split, listing in listings.items():
        counts: Counter[str] = Counter()
        boxes = []
        for box in listing.objects:
            counts[box.id] += 1
            boxes.append(dataclasses.replace(box, number=counts[box.id]))
        found[split] = dataclasses.replace(listing, objects=tuple(boxes))
    return found


def _labels(boxes: Sequence[ObjectBox], classes: Sequence[str]) -> Labels:
    column_of = {name: column for column, name in enumerate(classes)}
    columns = np.array([column_of[box.name] for box in boxes], np.int64)
    values = np.array([not box.difficult for box in boxes], np.int8)
    return Labels.of(np.arange(len(boxes)), columns, values, (len(boxes), len(classes)))


def _id_of(box: ObjectBox) -> str:
    return f"{box.id}#{box.number}"


def _crops(corners: np.ndarray, sizes: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """(M, 4) x, y, width, height in pixels from 0, and which boxes are on the picture: (M,) bool."""
    corners = corners.clip(-_FARTHEST, _FARTHEST)
    start, end = corners[:, :2] - 1, corners[:, 2:]
    inside = np.logical_and.reduce((end > start) & (start < sizes) & (end > 0), axis=1)
    around = margin * (end - start)
    first = np.clip(np.rint(start - around), 0, sizes).astype(np.int64)
    last = np.clip(np.rint(end + around), 0, sizes).astype(np.int64)
    return np.concatenate([first, last - first], axis=1), inside

"""The same labelled photographs written in other forms: a table, COCO, tar shards, Parquet, a bucket."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pool5.datasets.kinds import KINDS
from pool5.datasets.listing import Listing
from pool5.datasets.roots import open_tree
from pool5.params import Dataset


class Photo(NamedTuple):
    """An image of a data set, and what is known of it."""

    split: str
    id: str
    file: Path
    labels: list[int]  # 1, 0, -1, a class each


class Photos:
    """What a VOC devkit holds, for writing it in another form; classes stand in the devkit's order."""

    def __init__(self, root: Path, train: str = "trainval", test: str = "test") -> None:
        self.train, self.test = train, test
        asked = Dataset(name="any", kind="voc", root=str(root), train=train, test=test)
        self.listings: dict[str, Listing] = KINDS["voc"](open_tree(str(root)), asked)
        self.root = root
        self.classes = self.listings[test].classes

    def __iter__(self) -> Iterator[Photo]:
        for split, part in self.listings.items():
            rows = zip(part.ids, part.paths, np.asarray(part.labels).tolist(), strict=True)
            yield from (Photo(split, str(name), self.root / str(path), row) for name, path, row in rows)

    def shown(self, photo: Photo) -> list[str]:
        return [name for name, label in zip(self.classes, photo.labels, strict=True) if label == 1]

    def link(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for photo in self:
            os.link(photo.file, folder / photo.file.name) if _same_disk(photo.file, folder) else (
                folder / photo.file.name
            ).write_bytes(photo.file.read_bytes())


def _same_disk(file: Path, folder: Path) -> bool:
    return file.stat().st_dev == folder.stat().st_dev and os.access(file, os.W_OK)


def as_csv(photos: Photos, root: Path) -> dict[str, Any]:
    """`images.csv` beside the images, a column a class."""
    photos.link(root)
    with (root / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "id", "split", *photos.classes])
        writer.writerows([p.file.name, p.id, p.split, *p.labels] for p in photos)
    return {"kind": "table"}


def as_coco(photos: Photos, root: Path) -> dict[str, Any]:
    """One JSON a split, with the boxes of the annotations."""
    photos.link(root)
    category = {name: number for number, name in enumerate(photos.classes, start=1)}
    for split, part in photos.listings.items():
        number_of = {str(name): number for number, name in enumerate(part.ids, start=1)}
        images = [
            {"id": number_of[p.id], "file_name": p.file.name, "width": 1, "height": 1}
            for p in photos
            if p.split == split
        ]
        boxes = [
            {
                "id": number,
                "image_id": number_of[box.id],
                "category_id": category[box.name],
                "iscrowd": int(box.difficult),
                "bbox": _bbox(box.corners),
            }
            for number, box in enumerate(part.objects, start=1)
        ]
        content = {
            "images": images,
            "annotations": boxes,
            "categories": [{"id": number, "name": name} for name, number in category.items()],
        }
        (root / f"{split}.json").write_text(json.dumps(content))
    return {"kind": "coco", "files": {split: f"{split}.json" for split in photos.listings}}


def _bbox(corners: tuple[int, int, int, int] | None) -> list[int]:
    assert corners
    xmin, ymin, xmax, ymax = corners
    return [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1]


def as_shards(photos: Photos, root: Path, each: int = 250) -> dict[str, Any]:
    """Tar shards of `each` images, with the names of the classes in a .json beside each image."""
    root.mkdir(parents=True, exist_ok=True)
    for split in photos.listings:
        those = [photo for photo in photos if photo.split == split]
        for start in range(0, len(those), each):
            with tarfile.open(root / f"{split}-{start // each:06d}.tar", "w") as tar:
                for photo in those[start : start + each]:
                    _add(tar, photo.file.name, photo.file.read_bytes())
                    _add(tar, f"{photo.id}.json", json.dumps({"labels": photos.shown(photo)}).encode())
    return {"kind": "webdataset", "columns": {"labels": "labels"}, "classes": list(photos.classes)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def as_parquet(photos: Photos, root: Path) -> dict[str, Any]:
    """Files as Hugging Face's datasets have them: the image as {bytes, path}, its classes as a list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True, exist_ok=True)
    for split in photos.listings:
        those = [photo for photo in photos if photo.split == split]
        image = [{"bytes": p.file.read_bytes(), "path": p.file.name} for p in those]
        columns = {"image": image, "id": [p.id for p in those], "labels": [photos.shown(p) for p in those]}
        path = root / f"data/{split}-00000-of-00001.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=100)
    columns = {"image": "image", "labels": "labels"}
    return {"kind": "table", "columns": columns, "classes": list(photos.classes)}


def in_bucket(photos: Photos, put: Callable[[str, bytes], object]) -> None:
    """The table of `as_csv` and its images, put somewhere else by name."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["path", "id", "split", *photos.classes])
    for photo in photos:
        writer.writerow([photo.file.name, photo.id, photo.split, *photo.labels])
        put(photo.file.name, photo.file.read_bytes())
    put("images.csv", text.getvalue().encode())

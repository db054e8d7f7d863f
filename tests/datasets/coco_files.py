"""A small data set in COCO's form, written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devkit import write_image

CATEGORIES = [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 17, "name": "cat"}]


def coco(names: Sequence[str], **changed: Any) -> dict[str, Any]:
    """A file's content: all images show a cat, every second a dog too; the last dogs are a crowd."""
    images = [{"id": 10 + n, "file_name": name, "width": 32, "height": 24} for n, name in enumerate(names)]
    boxes = [
        {"id": n, "image_id": 10 + n, "category_id": 17, "bbox": [2, 3, 18, 15]} for n in range(len(names))
    ]
    boxes += [
        {"id": 100 + n, "image_id": 10 + n, "category_id": 18, "bbox": [0.4, 0.6, 9.2, 8.8], "iscrowd": 0}
        for n in range(0, len(names), 2)
    ]
    boxes[-1]["iscrowd"] = 1
    return {"info": {}, "images": images, "annotations": boxes, "categories": CATEGORIES} | changed


def write_coco(path: Path, names: Sequence[str], images: Path | None = None, **changed: Any) -> None:
    """The file and, in `images` or beside it, its images."""
    for seed, name in enumerate(names):
        write_image((images or path.parent) / name, seed + len(path.stem))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco(names, **changed)))

"""How many objects of a class an image shows, and how large the largest is."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np

from ..datasets.manifest import Manifest


@dataclasses.dataclass(frozen=True)
class ObjectStatistics:
    """Of the objects of one class that are not difficult, for each image of a split.

    Attributes
    ----------
    number : (N,) int64
    largest : (N,) float64
        The area of the largest box over the area of the image; NaN where no box is known.
    """

    number: np.ndarray
    largest: np.ndarray


def read_object_statistics(
    path: Path | str, manifest: Manifest, ids: np.ndarray
) -> dict[str, ObjectStatistics]:
    """Statistics by class from data/manifest/objects.csv, for the images `ids` of `manifest`.

    Empty where the data set has no annotated objects, as a folder of images has none.
    """
    row_of = {name: row for row, name in enumerate(ids.tolist())}
    number = {name: np.zeros(len(ids), np.int64) for name in manifest.classes}
    largest = {name: np.full(len(ids), np.nan) for name in manifest.classes}
    areas = dict(zip(manifest.ids.tolist(), manifest.sizes.astype(np.float64).prod(axis=1), strict=True))
    any_object = False
    with Path(path).open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row, name = row_of.get(line["id"]), line["class"]
            if row is None or name not in number or line["difficult"] == "1":
                continue
            any_object = True
            number[name][row] += 1
            if line["xmin"]:
                xmin, ymin, xmax, ymax = (float(line[c]) for c in ("xmin", "ymin", "xmax", "ymax"))
                # the corners belong to the box
                share = (xmax - xmin + 1) * (ymax - ymin + 1) / areas[line["id"]]
                largest[name][row] = np.fmax(largest[name][row], min(share, 1.0))
    return {name: ObjectStatistics(number[name], largest[name]) for name in number} if any_object else {}

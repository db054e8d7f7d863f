"""Odd and typical images as CSV, each value beside what it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files.csv_file import decimals, write_csv
from ...results.outliers import Compared, OddImage, OutliersResult

_ODD = ["value", "rank", "of", "quantile", "score", "median", "spread"]


def write_outliers(result: OutliersResult, folder: Path) -> None:
    """Write odd.csv, groups.csv, typical.csv and looks.csv."""
    odd = [
        [part.layer, part.split, image.id, part.k, image.nearest, *_told(image, part.distances)]
        for part in result.layers
        for image in part.odd
    ]
    write_csv(folder / "odd.csv", ["layer", "split", "id", "k", "nearest", *_ODD], odd)
    groups = [
        [part.layer, part.split, number, name, group.images, group.odd.id, *_told(group.odd, part.nearest)]
        for part in result.layers
        for number, group in enumerate(part.groups, 1)
        for name in group.ids
    ]
    columns = ["layer", "split", "group", "id", "images", "nearest_to_outside", *_ODD]
    write_csv(folder / "groups.csv", columns, groups)
    typical = [
        [
            part.layer,
            part.split,
            of.class_name,
            place,
            image.id,
            image.named_by,
            of.images,
            decimals(of.median),
        ]
        for part in result.layers
        for of in part.typical
        for place, image in enumerate(of.typical, 1)
    ]
    columns = ["layer", "split", "class", "place", "id", "named_by", "images", "median_named_by"]
    write_csv(folder / "typical.csv", columns, typical)
    looks = [
        [look.kind, image.split, image.id, look.measure, decimals(look.bound), *_told(image, look.compared)]
        for look in result.looks
        for image in look.odd
    ]
    write_csv(folder / "looks.csv", ["kind", "split", "id", "measure", "bound", *_ODD], looks)


def _told(image: OddImage, among: Compared) -> list[Any]:
    return [
        decimals(image.value), image.rank, among.images, decimals(image.quantile), decimals(image.score),
        decimals(among.median), decimals(among.spread),
    ]  # fmt: skip

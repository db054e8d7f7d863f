"""Clusters as tables, for other programs."""

from __future__ import annotations

from pathlib import Path

from ..files.csv_file import decimals, write_csv
from ..results.clusters import NOISE, ClustersResult


def write_cluster_images(found: ClustersResult, path: Path | str) -> None:
    """Write id, cluster (empty for what is in none), typical (1 the most of its cluster)."""
    rank = {image: place for each in found.clusters for place, image in enumerate(each.typical, start=1)}
    rows = zip(found.ids, found.cluster, strict=True)
    write_csv(
        path,
        ["id", "cluster", "typical"],
        [(image, None if number == NOISE else number, rank.get(image)) for image, number in rows],
    )


def write_cluster_classes(found: ClustersResult, path: Path | str) -> None:
    """Write a row a cluster and class that it shows: share, chance, and whether that is beyond chance."""
    columns = ["cluster", "cluster_images", "class", "images", "share", "chance", "p_value", "beyond_chance"]
    rows = [
        (
            each.number, each.images, part.class_name, part.images, decimals(part.share),
            decimals(part.chance), f"{part.p_value:.3g}", int(part.beyond_chance),
        )
        for each in found.clusters
        for part in each.classes
    ]  # fmt: skip
    write_csv(path, columns, rows)

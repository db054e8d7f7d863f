"""What the interactive map shows: points, images, and each image's neighbors in every representation."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..figures.palette import class_colours, hex_colours, mean_colour
from ..params import Metric
from ..search.exact import exact_search
from .thumbnails import PER_ROW, PER_SHEET, Sprites

MAX_IMAGES = 5000  # with a thumbnail; a page of more would take too long to load
NEIGHBORS = 6


@dataclasses.dataclass(frozen=True)
class PointMap:
    """A t-SNE map: the place of some images of the test split.

    Attributes
    ----------
    name : str
        <model>/<layer>
    rows : (n,) int64
        Rows of the test split.
    places : (n, 2) float64
    """

    name: str
    rows: np.ndarray
    places: np.ndarray


@dataclasses.dataclass(frozen=True)
class Neighborhood:
    """The nearest of some images, for some of them.

    Attributes
    ----------
    name : str
        <model>/<layer>
    rows : (n, k) int64
        Nearest first, the image itself left out.
    distances : (n, k) float32
    """

    name: str
    rows: np.ndarray
    distances: np.ndarray


@dataclasses.dataclass(frozen=True)
class TestSplit:
    """The images of the test split.

    Attributes
    ----------
    name : str
    ids : (N,) array of str
    labels : (N, C) int8
    classes : tuple of C str
    paths : sequence of N paths
    """

    name: str
    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    paths: Sequence[Path]


def read_map(path: Path, name: str, ids: np.ndarray) -> PointMap:
    """Read the map.csv of a t-SNE stage; `UserError` for an image that the test split does not have."""
    row_of = {image: row for row, image in enumerate(ids.tolist())}
    with path.open(newline="", encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    if strange := next((p["id"] for p in points if p["id"] not in row_of), None):
        raise UserError(f"{path}: image {strange} is not in the test split; run `dvc repro tsne` again")
    return PointMap(
        name,
        np.array([row_of[p["id"]] for p in points], np.int64),
        np.array([(p["x"], p["y"]) for p in points], np.float64).reshape(-1, 2),
    )


def shown_images(maps: Sequence[PointMap], total: int) -> np.ndarray:
    """The rows of the test split that get a thumbnail: those on a map, then the others, `MAX_IMAGES` at most.

    Where the maps alone have more, every so many of their points is taken.
    """
    on_maps = np.unique(np.concatenate([m.rows for m in maps])) if maps else np.arange(total)
    if len(on_maps) >= MAX_IMAGES:
        return on_maps[np.linspace(0, len(on_maps) - 1, MAX_IMAGES).astype(np.int64)]
    others = np.setdiff1d(np.arange(total), on_maps)[: MAX_IMAGES - len(on_maps)]
    return np.sort(np.concatenate([on_maps, others]))


def nearest(name: str, vectors: np.ndarray, queries: np.ndarray, metric: Metric, k: int) -> Neighborhood:
    """The `k` nearest rows of `vectors` for some of its rows, by exact search; fewer if there are no more."""
    k = min(k, len(vectors) - 1)
    if k < 1:
        empty = np.empty((len(queries), 0))
        return Neighborhood(name, empty.astype(np.int64), empty.astype(np.float32))
    # the whole array, asked as itself, costs half
    asked = vectors if np.array_equal(queries, np.arange(len(vectors))) else vectors[queries]
    distances, found = exact_search(asked, vectors, k, metric, exclude=queries)
    return Neighborhood(name, found, distances)


def page_data(
    split: TestSplit,
    shown: np.ndarray,
    sprites: Sprites,
    maps: Sequence[PointMap],
    neighborhoods: Sequence[Neighborhood],
    metric: Metric,
) -> dict[str, Any]:
    """The map's data in the plain types of JSON; images are numbered by their place in `images`.

    The images with a thumbnail come first, in the order of the sprites; then those that are only somebody's
    neighbors.
    """
    mentioned = np.unique(np.concatenate([shown, *(n.rows.ravel() for n in neighborhoods)]))
    rows = np.concatenate([shown, np.setdiff1d(mentioned, shown)])
    number = np.full(len(split.ids), -1)
    number[rows] = np.arange(len(rows))
    labels = split.labels[rows]
    colours = class_colours(split.classes)
    return {
        "classes": list(split.classes),
        "classColours": hex_colours(colours),
        "images": {
            "ids": split.ids[rows].tolist(),
            "present": [np.flatnonzero(row == 1).tolist() for row in labels],
            "difficult": [np.flatnonzero(row == 0).tolist() for row in labels],
            "colours": hex_colours(mean_colour(labels, colours)),
        },
        "sprites": {
            "cell": sprites.cell,
            "perRow": PER_ROW,
            "perSheet": PER_SHEET,
            "sizes": sprites.sizes.tolist(),
        },
        "maps": [_points(m, number, len(shown)) for m in maps],
        "neighborhoods": [
            {
                "name": n.name,
                "images": number[n.rows].tolist(),
                "distances": [[float(f"{d:.4g}") for d in row] for row in n.distances.tolist()],
            }
            for n in neighborhoods
        ],
        "metric": metric,
        "searched": len(split.ids),
    }


def _points(point_map: PointMap, number: np.ndarray, with_thumbnail: int) -> dict[str, Any]:
    """A map scaled into a square of side 1, the same for both axes; y grows downward as on a screen."""
    images = number[point_map.rows]
    kept = (images >= 0) & (images < with_thumbnail)
    places = point_map.places[kept]
    low, high = places.min(axis=0), places.max(axis=0)
    scaled = (places - (low + high) / 2) / max(float((high - low).max()), 1e-9) + 0.5
    return {
        "name": point_map.name,
        "images": images[kept].tolist(),
        "x": np.round(scaled[:, 0], 4).tolist(),
        "y": np.round(1 - scaled[:, 1], 4).tolist(),
        "points": len(point_map.rows),
    }

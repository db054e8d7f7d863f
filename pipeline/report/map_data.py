"""What the interactive map shows: points, images, and each image's neighbors in every representation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.manifest import Manifest
from ..errors import UserError
from ..figures.palette import NO_CLASS, class_colours, hex_colours, mean_colour
from ..params import Metric
from ..results.clusters import NOISE, ClustersResult
from ..results.layer_map import MapResult
from ..results.tsne_map import TsneResult
from ..store.neighbor_file import NeighborFile
from .thumbnails import PER_ROW, PER_SHEET, Sprites

MAX_IMAGES = 5000  # with a thumbnail; a page of more would take too long to load
NEIGHBORS = 6


@dataclasses.dataclass(frozen=True)
class PointMap:
    """A map by rows of the test split's manifest.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    method, title : str
        `tsne`, and as people write it.
    rows : (n,) int64
    places : (n, 2) float64
    """

    layer: str
    method: str
    title: str
    rows: np.ndarray
    places: np.ndarray

    @property
    def name(self) -> str:
        """That of its columns in the parquet file: t-SNE's have the layer's alone."""
        return self.layer if self.method == "tsne" else f"{self.layer} {self.method}"


@dataclasses.dataclass(frozen=True)
class Neighborhood:
    """The nearest of every image of the test split, by rows of its manifest.

    Attributes
    ----------
    name : str
        <model>/<layer>
    rows : (N, k) int64
        Nearest first, the image itself left out; -1 for an image that the layer does not have.
    distances : (N, k) float32
    search : str
        How they were found, in words.
    """

    name: str
    rows: np.ndarray
    distances: np.ndarray
    search: str = "exact search"


def point_map(result: TsneResult | MapResult, test: Manifest) -> PointMap:
    """The map of a record; `UserError` for an image that the test split does not have."""
    row_of = {image: row for row, image in enumerate(test.ids.tolist())}
    if strange := next((image for image in result.ids if image not in row_of), None):
        problem = f"the map of {result.layer}: image {strange} is not in the split {test.split}"
        raise UserError(problem, rerun=result.stage, force=True)
    rows = np.array([row_of[image] for image in result.ids], np.int64)
    places = np.array(result.points, np.float64).reshape(-1, 2)
    return PointMap(result.layer, result.method, result.title, rows, places)


def neighborhood(graph: NeighborFile, ids: np.ndarray, test: Manifest) -> Neighborhood:
    """The graph's neighbors within the test split, whose rows in the graph are the images `ids`."""
    row_of = {image: row for row, image in enumerate(test.ids.tolist())}
    own = np.array([row_of.get(image, -1) for image in ids.tolist()], np.int64)
    there = own >= 0
    found, apart = graph.nearest(test.split, test.split)
    rows = np.full((len(test), found.shape[1]), -1)
    distances = np.zeros(rows.shape, np.float32)
    rows[own[there]], distances[own[there]] = own[found[there]], apart[there]
    engine = graph.split(test.split).engine
    search = "exact search" if engine == "exact" else f"an index ({engine})"
    return Neighborhood(graph.layer, rows, distances, search)


def shown_images(maps: Sequence[PointMap], total: int) -> np.ndarray:
    """The rows of the test split that get a thumbnail: those on a map, then the others, `MAX_IMAGES` at most.

    Where the maps alone have more, every so many of their points is taken.
    """
    on_maps = np.unique(np.concatenate([m.rows for m in maps])) if maps else np.arange(total)
    if len(on_maps) >= MAX_IMAGES:
        return on_maps[np.linspace(0, len(on_maps) - 1, MAX_IMAGES).astype(np.int64)]
    others = np.setdiff1d(np.arange(total), on_maps)[: MAX_IMAGES - len(on_maps)]
    return np.sort(np.concatenate([on_maps, others]))


def page_data(
    test: Manifest,
    shown: np.ndarray,
    sprites: Sprites,
    maps: Sequence[PointMap],
    neighborhoods: Sequence[Neighborhood],
    clusters: Mapping[str, ClustersResult],
    metric: Metric,
) -> dict[str, Any]:
    """The map's data in the plain types of JSON; images are numbered by their place in `images`.

    The images with a thumbnail come first, in the order of the sprites; then those that are only somebody's
    neighbors. `shown` are their rows of the manifest.
    """
    near = [(n, n.rows[shown, :NEIGHBORS], n.distances[shown, :NEIGHBORS]) for n in neighborhoods]
    mentioned = np.unique(np.concatenate([shown, *(rows[rows >= 0] for _, rows, _ in near)]))
    rows = np.concatenate([shown, np.setdiff1d(mentioned, shown)])
    number = np.full(len(test), -1)
    number[rows] = np.arange(len(rows))
    labels = test.labels[rows]
    colours = class_colours(test.classes)
    return {
        "classes": list(test.classes),
        "classColours": hex_colours(colours),
        "images": {
            "ids": test.ids[rows].tolist(),
            "present": [columns.tolist() for columns in labels.each(1)],
            "difficult": [columns.tolist() for columns in labels.each(0)],
            "colours": hex_colours(mean_colour(np.asarray(labels), colours)),
        },
        "sprites": {
            "cell": sprites.cell,
            "perRow": PER_ROW,
            "perSheet": PER_SHEET,
            "sizes": sprites.sizes.tolist(),
        },
        "maps": [_points(m, number, len(shown)) for m in maps],
        "clusters": {layer: _clusters(found, test, number) for layer, found in clusters.items()},
        "neighborhoods": [
            {
                "name": n.name,
                "images": [number[own[own >= 0]].tolist() for own in found],
                "distances": [[float(f"{d:.4g}") for d in row] for row in distances.tolist()],
                "search": n.search,
            }
            for n, found, distances in near
        ],
        "metric": metric,
        "searched": len(test),
    }


def _points(point_map: PointMap, number: np.ndarray, with_thumbnail: int) -> dict[str, Any]:
    """A map by the images' numbers, in a square as a screen has it."""
    images = number[point_map.rows]
    kept = (images >= 0) & (images < with_thumbnail)
    x, y = in_square(point_map.places[kept]).T
    return {
        "name": point_map.name,
        "layer": point_map.layer,
        "method": point_map.method,
        "title": point_map.title,
        "images": images[kept].tolist(),
        "x": x.tolist(),
        "y": y.tolist(),
        "points": len(point_map.rows),
    }


def in_square(places: np.ndarray) -> np.ndarray:
    """(n, 2) places scaled into a square of side 1, the same for both axes; y grows downward."""
    low, high = places.min(axis=0), places.max(axis=0)
    scaled: np.ndarray = (places - (low + high) / 2) / max(float((high - low).max()), 1e-9) + 0.5
    scaled[:, 1] = 1 - scaled[:, 1]
    return scaled.round(4)


def cluster_colours(found: ClustersResult) -> list[str]:
    """As #rrggbb, by the clusters' numbers; the first is that of noise."""
    numbers = [str(each.number) for each in found.clusters]
    return hex_colours(np.vstack([NO_CLASS, class_colours(numbers)]))


def _clusters(found: ClustersResult, test: Manifest, number: np.ndarray) -> dict[str, Any]:
    """The images of each cluster by their numbers on the page, and the typical ones among them."""
    row_of = {image: row for row, image in enumerate(test.ids.tolist())}

    def numbers(ids: Iterable[str]) -> list[int]:
        on_page = [int(number[row_of[image]]) for image in ids if image in row_of]
        return [image for image in on_page if image >= 0]

    members = zip(found.ids, found.cluster, strict=True)
    by_number: dict[int, list[str]] = {}
    for image, cluster in members:
        by_number.setdefault(cluster, []).append(image)
    return {
        "colours": cluster_colours(found),
        "images": [numbers(by_number.get(n, ())) for n in range(NOISE, len(found.clusters) + 1)],
        "typical": [[], *(numbers(each.typical) for each in found.clusters)],
    }

"""The stage maps: maps of layers by further methods and of one's own points, and clusters."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import faiss

from ..analysis.clusters import cluster_layer
from ..analysis.maps.further_map import map_by, map_of_points
from ..analysis.maps.methods import METHODS
from ..analysis.maps.own_points import read_points
from ..figures.cluster_tables import write_cluster_classes, write_cluster_images
from ..figures.clusters import draw_clusters
from ..figures.layer_map import draw_map
from ..figures.map_table import write_map_table, write_trust_table
from ..files.atomic import make_folders
from ..files.digests import digest_of, sha256_of_file
from ..files.json_file import write_json
from ..params import Maps, load_params
from ..project import Project
from ..results.clusters import ClustersResult
from ..results.layer_map import MapResult
from ..results.record import R, load_record, save_record, tell_gaps
from ..store.feature_file import FeatureFile
from ..store.open_layer import open_layer
from ..store.unit_cache import UnitCache
from . import run, unit_cache

_RECORD = "record.json"
_MAP = ("map.csv", "map.png", "map.svg")
_CLUSTERS = ("images.csv", "classes.csv")
_ON_MAPS = ("maps.png", "maps.svg")
Points = Mapping[str, tuple[float, float]]


def main() -> None:
    project = Project()
    params = load_params(project.params)
    settings = params.maps
    make_folders(project.result_folder("maps"), project.report("maps"), filled=bool(settings.of))
    own = {name: read_points(project.root / file) for name, file in settings.points.items()}
    metrics: dict[str, Any] = {}
    every: list[MapResult] = []
    with unit_cache(project, "maps") as units:
        for reference in settings.of:
            file, layer = open_layer(reference, params.dataset.test, params, project)
            of = _Layer(project, units, reference, file, layer, settings)
            found = [*of.maps(), *(of.own_map(name, points) for name, points in own.items())]
            metrics[reference] = {each.method: each.metrics() for each in found}
            if settings.clusters != "none":
                metrics[reference]["clusters"] = of.clusters(found).metrics()
            every += found
    if settings.of:
        write_trust_table(every, project.report("maps", "trust.csv"))
    write_json(project.metrics("maps"), metrics)


@dataclasses.dataclass(frozen=True)
class _Layer:
    """What is made of one layer, a unit each map and the clusters."""

    project: Project
    units: UnitCache
    reference: str
    file: FeatureFile
    layer: str
    settings: Maps

    def maps(self) -> Iterator[MapResult]:
        for name in self.settings.methods:
            method = METHODS[name]
            decided = method.decided_by(self.settings, min(len(self.file), self.settings.sample))
            key = {"method": name, "decided": decided, "libraries": _versions(*method.packages, "matplotlib")}
            yield self._map(
                name,
                key | {"stability_seeds": self.settings.stability_seeds},
                functools.partial(map_by, name, self.file, self.layer, self.settings),
            )

    def own_map(self, name: str, points: Points) -> MapResult:
        key = {"points": [name, digest_of(dict(points))], "libraries": _versions("matplotlib")}
        find = functools.partial(map_of_points, name, points, self.file, self.layer, self.settings)
        return self._map(name, key, find)

    def clusters(self, maps: Sequence[MapResult]) -> ClustersResult:
        settings = self.settings
        size = settings.min_cluster_size if settings.clusters == "hdbscan" else settings.k
        libraries = _versions("scikit-learn") | {"faiss": faiss.__version__}
        key = {"clusters": settings.clusters, "size": size, "libraries": libraries}

        def make(folder: Path) -> None:
            found = cluster_layer(self.file, self.layer, settings)
            save_record(found, folder / _RECORD)
            write_cluster_images(found, folder / "images.csv")
            write_cluster_classes(found, folder / "classes.csv")

        found = self._put("clusters", key, _CLUSTERS, make, ClustersResult)
        title = f"{found.layer}: clusters of {found.images} images of {found.split}"
        records = [self._record(name) for name in ("clusters", *(each.method for each in maps))]
        self.units.put(
            {"figure": [sha256_of_file(path) for path in records], "libraries": _versions("matplotlib")},
            {name: self._report("clusters", name) for name in _ON_MAPS},
            lambda folder: draw_clusters(maps, found, folder / "maps", title=title),
        )
        return found

    def _map(self, name: str, key: dict[str, Any], find: Callable[[], MapResult]) -> MapResult:
        file = self.file

        def make(folder: Path) -> None:
            found = find()
            labels = file.labels[file.rows(found.ids)]
            title = f"{found.layer}: {found.title} of {found.images} images of {found.split}"
            save_record(found, folder / _RECORD)
            write_map_table(found, labels, file.classes, folder / "map.csv")
            draw_map(found, labels, file.classes, folder / "map", title=title)

        return self._put(name, key, _MAP, make, MapResult)

    def _put(
        self,
        name: str,
        key: dict[str, Any],
        files: Sequence[str],
        make: Callable[[Path], None],
        kind: type[R],
    ) -> R:
        """A unit of this layer: its record, and `files` under reports/maps."""
        file, settings = self.file, self.settings
        decides = {
            "of": [file.model, self.layer, file.split],
            "layer": file.layer_digest(self.layer),
            "ids": file.ids_digest,
            "labels": file.labels_digest,
            "classes": list(file.classes),
            "sample": [settings.sample, settings.seed],
        }
        outputs = {_RECORD: self._record(name)} | {each: self._report(name, each) for each in files}
        self.units.put(decides | key, outputs, make)
        found = load_record(kind, self._record(name))
        tell_gaps(found)
        return found

    def _record(self, name: str) -> Path:
        return self.project.result(f"maps/{self.reference}/{name}")

    def _report(self, name: str, file: str) -> Path:
        return self.project.report("maps", self.reference, name, file)


def _versions(*packages: str) -> dict[str, str | None]:
    """Of each; None for one that is not installed, so that what was not made is made where it is."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


if __name__ == "__main__":
    run(main)

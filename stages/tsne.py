"""The stage tsne: the t-SNE maps of layers, and how far to trust each."""

from __future__ import annotations

import functools
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..analysis.maps.kept_map import EarlierMap, decides_places, is_of, save_rows
from ..analysis.maps.layer_map import map_layer
from ..figures.layer_map import draw_map, draw_panels
from ..figures.map_table import write_map_table
from ..files.atomic import make_folders
from ..files.json_file import write_json
from ..params import Tsne, load_params
from ..project import Project
from ..results.record import load_record, save_record, tell_gaps
from ..results.tsne_map import TsneResult
from ..store.feature_file import FeatureFile
from ..store.open_layer import open_layer
from ..store.unit_cache import UnitCache
from . import run, unit_cache

_RECORD, _ROWS = "record.json", "rows.json"  # and what a later map can keep its points by
_RENDERED = ("map.csv", "map.png", "map.svg", "panels.png", "panels.svg")
_LIBRARIES = ("openTSNE", "scikit-learn", "matplotlib")


def main() -> None:
    project = Project()
    params = load_params(project.params)
    make_folders(project.result_folder("tsne"), project.report("tsne"), filled=bool(params.tsne.of))
    metrics = {}
    with unit_cache(project, "tsne") as units:
        for reference in params.tsne.of:
            file, layer = open_layer(reference, params.dataset.test, params, project)
            record = project.result(f"tsne/{reference}")
            outputs = {_RECORD: record} | {n: project.report("tsne", reference, n) for n in _RENDERED}
            make = functools.partial(_map, units, file, layer, params.tsne)
            units.put(_key(file, layer, params.tsne), outputs, make, beside=[_ROWS])
            found = load_record(TsneResult, record)
            tell_gaps(found)
            metrics[reference] = found.metrics()
    write_json(project.metrics("tsne"), metrics)


def _key(file: FeatureFile, layer: str, settings: Tsne) -> dict[str, Any]:
    plain = msgspec.to_builtins(msgspec.structs.replace(settings, of=()))
    if not settings.keep:
        del plain["keep"]  # units of before it came are found
    return {
        "settings": plain,
        "of": [file.model, layer, file.split],
        "layer": file.layer_digest(layer),
        "ids": file.ids_digest,
        "labels": file.labels_digest,
        "classes": list(file.classes),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _map(units: UnitCache, file: FeatureFile, layer: str, settings: Tsne, folder: Path) -> None:
    about = decides_places(f"{file.model}/{layer} {file.split}", settings)
    earlier = None
    if settings.keep and (unit := units.latest([_RECORD, _ROWS], lambda unit: is_of(unit / _ROWS, about))):
        earlier = EarlierMap.load(unit / _RECORD, unit / _ROWS)
    result = map_layer(file, layer, settings, earlier)
    rows = file.rows(result.ids)
    save_record(result, folder / _RECORD)
    save_rows(np.asarray(file.layer(layer)[rows]), about, folder / _ROWS)
    labels = file.labels[rows]
    title = f"{result.layer}: t-SNE of {result.images} images of {result.split}"
    write_map_table(result, labels, file.classes, folder / "map.csv")
    draw_map(result, labels, file.classes, folder / "map", title=title)
    draw_panels(result, labels, file.classes, folder / "panels", title=f"{title}, by class")


if __name__ == "__main__":
    run(main)

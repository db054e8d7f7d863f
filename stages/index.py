"""The stage index: an index, of FAISS or Lance, over every layer of `index.of`, and what it finds.

How long a search takes is no output: the same run must give the same bytes. The times are logged and kept in
.cache/timings/search; the outputs have the number of vectors compared, which is the same everywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from pathlib import Path

from ..figures.pareto import draw_pareto
from ..files.atomic import make_folders
from ..files.csv_file import decimals, write_csv
from ..files.json_file import write_json
from ..params import Index, load_params
from ..project import Project
from ..results.index_quality import IndexQuality
from ..results.record import load_record, tell_gaps
from ..search.layer_index import CARD, QUALITY, decides_index, index_layer, index_name
from ..search.quality import DEPTHS
from ..store.feature_file import FeatureFile
from ..store.open_layer import open_layer
from . import run, unit_cache

_log = logging.getLogger(__name__)


def main() -> None:
    project = Project()
    params = load_params(project.params)
    folders = project.indexes, project.result_folder("index"), project.report("search")
    make_folders(*folders, filled=bool(params.index.of))
    measured = {}
    with unit_cache(project, "index") as units:
        for layer in params.index.of:
            features, name = open_layer(layer, params.dataset.test, params, project)
            path, record = project.index(layer, params.index.engine), project.result(f"index/{layer}")
            outputs = {
                index_name(params.index.engine): path,
                CARD: path.with_suffix(".json"),
                QUALITY: record,
            }
            timings = project.timings("search", f"{layer}.json")
            make = functools.partial(_make, features, name, params.index, timings)
            units.put(decides_index(features, name, params.index), outputs, make)
            quality = load_record(IndexQuality, record)
            tell_gaps(quality)
            _write_sweep(quality, project.report("search", layer, "sweep.csv"))
            draw_pareto(quality, project.report("search", layer, "pareto"))
            measured[layer] = _metrics(quality)
    write_json(project.metrics("index"), measured)


def _make(features: FeatureFile, layer: str, settings: Index, timings: Path, folder: Path) -> None:
    built = index_layer(features, layer, settings, folder)
    built.save(folder)
    times = {name: dataclasses.asdict(latency) for name, latency in built.latencies().items()}
    write_json(timings, times)
    for name, milliseconds in times.items():
        single, in_batch, together = milliseconds["single"], milliseconds["in_batch"], len(built.queries)
        times_of_it = f"{single:.2f} ms for one query, {in_batch:.2f} ms a query for {together} at once"
        _log.info("%s/%s: %s: %s", features.model, layer, name, times_of_it)


def _write_sweep(quality: IndexQuality, path: Path) -> None:
    columns = ["setting", *(f"recall@{depth}" for depth in DEPTHS), "compared", "on_front", "chosen"]
    rows = (
        [
            point.name,
            *(decimals(point.recall.get(str(depth))) for depth in DEPTHS),
            f"{point.compared:.1f}",
            point.on_front,
            point == quality.chosen,
        ]
        for point in quality.points
    )
    write_csv(path, columns, rows)


def _metrics(quality: IndexQuality) -> dict[str, float]:
    found = {"bytes_per_vector": round(quality.bytes_per_vector, 3), "vectors": quality.rows}
    if quality.chosen is not None:
        found["compared_per_query"] = round(quality.chosen.compared, 1)
        found |= {f"recall@{depth}": round(value, 6) for depth, value in quality.chosen.recall.items()}
    return found


if __name__ == "__main__":
    run(main)

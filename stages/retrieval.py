"""The stage retrieval: every layer asked the same queries, and measured over the whole test split."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ..analysis.neighbor_graph import open_graph
from ..analysis.retrieval import measure_retrieval, retrieval_metrics, write_retrieval
from ..analysis.shown_queries import write_neighbors
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.canvas import save_figure
from ..figures.neighbor_sheet import neighbor_sheet
from ..files.json_file import write_json
from ..params import Neighbors, load_params
from ..project import Project
from ..results.record import load_record, save_record, tell_gaps
from ..results.retrieval import RetrievalResult
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from ..store.open_layer import open_layer
from . import run, unit_cache

_RECORD = "record.json"
_DECIDING = ("of", "queries", "k", "seed", "bootstrap")  # of the section neighbors, as recipes.yaml has them


def main() -> None:
    project = Project()
    params = load_params(project.params)
    split, files, graphs = params.dataset.test, {}, {}
    for name in params.neighbors.of:
        files[name], layer = open_layer(name, split, params, project)
        graphs[name] = open_graph(project.neighbors(name), [files[name]], layer)
    with unit_cache(project, "retrieval") as units:
        make = functools.partial(_measure, files, graphs, split, params.neighbors)
        key = _key(files, graphs, split, params.neighbors)
        units.put(key, {_RECORD: project.result("retrieval")}, make)
    result = load_record(RetrievalResult, project.result("retrieval"))
    tell_gaps(result, params.neighbors.of)

    write_json(project.metrics("retrieval"), retrieval_metrics(result))
    write_retrieval(result, project.report("neighbors", "retrieval.csv"))
    write_neighbors(result, project.report("neighbors", "neighbors.csv"))
    images = image_addresses(read_manifest(project.manifest(split)), project.images(params.dataset.root))
    title = "Nearest neighbors of the same queries in every representation"
    sheet = neighbor_sheet(
        result.queries, result.layers, images, result.metric, title=title, gaps=result.gaps
    )
    save_figure(sheet, project.report("neighbors", "sheet"))


def _measure(
    files: dict[str, FeatureFile], graphs: dict[str, NeighborFile], split: str, asked: Neighbors, folder: Path
) -> None:
    save_record(measure_retrieval(files, graphs, split, asked), folder / _RECORD)


def _key(
    files: dict[str, FeatureFile], graphs: dict[str, NeighborFile], split: str, asked: Neighbors
) -> dict[str, Any]:
    """All that decides the record: nothing of it is of the other splits but how they were searched."""
    return {
        "settings": {name: getattr(asked, name) for name in _DECIDING},
        "split": split,
        "features": [
            [name, file.ids_digest, file.labels_digest, list(file.classes)] for name, file in files.items()
        ],
        "graphs": [
            [graph.digest(split, split), graph.metric, graph.depth, graph.engine, graph.recall]
            for graph in graphs.values()
        ],
    }


if __name__ == "__main__":
    run(main)

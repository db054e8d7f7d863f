"""The stage compare: how alike the images lie in each two layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..analysis.layer_neighbors import LayerNeighbors
from ..analysis.layers.comparison import compare_layers, comparison_metrics, write_comparison
from ..analysis.neighbor_graph import how_searched, open_graph
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.comparison import draw_comparison
from ..files.json_file import write_json
from ..params import Params, load_params, split_reference
from ..project import Project
from ..results.comparison import CompareResult
from ..results.record import load_record, save_record, tell_gaps
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from ..store.open_layer import open_layer
from . import run, unit_cache

_RECORD = "record.json"


def main() -> None:
    project = Project()
    params = load_params(project.params)
    split = params.dataset.test
    files = {name: open_layer(name, split, params, project)[0] for name in params.compare.of}
    graphs = {
        name: open_graph(path, [file], split_reference(name)[1])
        for name, file in files.items()
        if (path := project.neighbors(name)).is_file()
    }
    with unit_cache(project, "compare") as units:
        make = functools.partial(_compare, files, graphs, params)
        units.put(_key(files, graphs, params), {_RECORD: project.result("compare")}, make)
    result = load_record(CompareResult, project.result("compare"))
    tell_gaps(result, params.compare.of)

    write_json(project.metrics("compare"), comparison_metrics(result))
    write_comparison(result, project.report("compare", "compare.csv"))
    images = image_addresses(read_manifest(project.manifest(split)), project.images(params.dataset.root))
    draw_comparison(result, images, project.report("compare"))


def _compare(
    files: Mapping[str, FeatureFile], graphs: Mapping[str, NeighborFile], params: Params, folder: Path
) -> None:
    split, metric, asked = params.dataset.test, params.index.metric, params.compare
    neighbors = {
        name: LayerNeighbors.stored(graphs[name], split)
        if name in graphs
        else LayerNeighbors.found(file.layer(split_reference(name)[1]), metric, asked.k + 1)
        for name, file in files.items()
    }
    result = compare_layers(files, neighbors, split, metric, asked)
    searched = [sentence for graph in graphs.values() for sentence in how_searched(graph)]
    save_record(msgspec.structs.replace(result, gaps=(*result.gaps, *searched)), folder / _RECORD)


def _key(
    files: Mapping[str, FeatureFile], graphs: Mapping[str, NeighborFile], params: Params
) -> dict[str, Any]:
    split = params.dataset.test
    return {
        "settings": msgspec.to_builtins(params.compare),
        "metric": params.index.metric,
        "split": split,
        "features": [
            [name, file.layer_digest(split_reference(name)[1]), file.ids_digest, file.labels_digest]
            for name, file in files.items()
        ],
        "classes": [list(file.classes) for file in files.values()],
        "graphs": [[name, g.digest(split, split), g.engine, g.recall] for name, g in graphs.items()],
    }


if __name__ == "__main__":
    run(main)

"""The stage neighbors: the nearest rows of every row, for every layer that a later stage asks about."""

from __future__ import annotations

import functools
from pathlib import Path

from ..files.atomic import make_folders
from ..params import Metric, Params, load_params, split_reference
from ..project import Project
from ..search.neighbor_graph import GraphSettings, decides_graph, write_graph
from ..search.neighbor_update import GraphUpdate, is_of
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import graph_name
from ..store.open_layer import open_layer
from ..store.unit_cache import UnitCache
from . import run, unit_cache

_GRAPH, _ROWS = "graph.h5", "rows.npz"  # and what the next graph can be made from


def main() -> None:
    project = Project()
    params = load_params(project.params)
    make_folders(project.neighbor_folders, filled=bool(_wanted(params)))
    splits = params.dataset.train, params.dataset.test
    with unit_cache(project, "neighbors") as units:
        for layer, metric in _wanted(params):
            name = split_reference(layer)[1]
            files = [open_layer(layer, split, params, project)[0] for split in splits]
            settings = GraphSettings(
                metric=metric,
                depth=params.neighbors.depth,
                exact_up_to=params.neighbors.exact_up_to,
                memory_gb=params.index.memory_gb,
                seed=params.index.seed,
            )
            path = project.neighbors(graph_name(layer, metric, params.index.metric))
            make = functools.partial(_make, units, files, name, settings)
            units.put(decides_graph(files, name, settings), {_GRAPH: path}, make, beside=[_ROWS])


def _make(
    units: UnitCache, files: list[FeatureFile], layer: str, settings: GraphSettings, folder: Path
) -> None:
    reference = f"{files[0].model}/{layer}"
    earlier = units.latest(
        [_GRAPH, _ROWS], lambda unit: is_of(unit / _GRAPH, reference, settings.metric, settings.depth)
    )
    update = GraphUpdate(files, layer, (earlier / _GRAPH, earlier / _ROWS) if earlier else None)
    write_graph(files, layer, settings, folder / _GRAPH, update)
    update.save(folder / _ROWS)


def _wanted(params: Params) -> list[tuple[str, Metric]]:
    """Each layer once under the main metric; near-duplicates are told by the cosine, whatever that is."""
    main = params.index.metric
    copies = [*([params.duplicates.of] if params.duplicates.of else []), *params.doubting]
    also = [*params.tsne.of, *params.compare.of, *params.outliers.of, *copies]
    layers = dict.fromkeys([*params.neighbors.of, *also])
    graphs = dict.fromkeys((layer, main) for layer in layers)
    return list(graphs | dict.fromkeys((layer, "cosine") for layer in copies))


if __name__ == "__main__":
    run(main)

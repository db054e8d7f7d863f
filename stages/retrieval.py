"""The stage retrieval: every layer asked the same queries, and measured over the whole test split."""

from __future__ import annotations

from ..analysis.neighbor_graph import open_graph
from ..analysis.retrieval import measure_retrieval, retrieval_metrics, write_retrieval
from ..analysis.shown_queries import write_neighbors
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.canvas import save_figure
from ..figures.neighbor_sheet import neighbor_sheet
from ..files.json_file import write_json
from ..params import load_params, split_reference
from ..project import Project
from ..results.record import save_record, tell_gaps
from ..store.feature_file import FeatureFile
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    split, files, graphs = params.dataset.test, {}, {}
    for name in params.neighbors.of:
        model, layer = split_reference(name)
        files[name] = FeatureFile.open(project.features(model, split))
        graphs[name] = open_graph(project.neighbors(name), [files[name]], layer)
    result = measure_retrieval(files, graphs, split, params.neighbors)
    save_record(result, project.result("retrieval"))
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


if __name__ == "__main__":
    run(main)

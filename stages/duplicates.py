"""The stage duplicates: near-duplicates within the splits, and leaks between them."""

from __future__ import annotations

from ..analysis.duplicates import duplicates_metrics, find_duplicates, write_duplicates
from ..analysis.neighbor_graph import open_graph
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.duplicates import draw_duplicates
from ..files.json_file import write_json
from ..params import Params, load_params, split_reference
from ..project import Project
from ..results.duplicates import DuplicatesResult
from ..results.record import save_record, tell_gaps
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import graph_name
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    splits = [params.dataset.train, params.dataset.test]
    result = _find(project, params, splits)
    save_record(result, project.result("duplicates"))
    tell_gaps(result, params.duplicates.of)

    write_json(project.metrics("duplicates"), duplicates_metrics(result))
    write_duplicates(result, project.report("duplicates", "duplicates.csv"))
    root = project.images(params.dataset.root)
    images = {split: image_addresses(read_manifest(project.manifest(split)), root) for split in splits}
    draw_duplicates(result, images, project.report("duplicates", "sheet"))


def _find(project: Project, params: Params, splits: list[str]) -> DuplicatesResult:
    name, threshold = params.duplicates.of, params.duplicates.threshold
    if name is None:
        gaps = ("duplicates.of names no layer: none were looked for",)
        return DuplicatesResult(layer=None, threshold=threshold, gaps=gaps)
    model, layer = split_reference(name)
    files = [FeatureFile.open(project.features(model, split)) for split in splits]
    path = project.neighbors(graph_name(name, "cosine", params.index.metric))
    return find_duplicates(files, open_graph(path, files, layer), threshold)


if __name__ == "__main__":
    run(main)

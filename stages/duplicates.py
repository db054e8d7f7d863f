"""The stage duplicates: near-duplicates within the splits, and leaks between them."""

from __future__ import annotations

from ..analysis.duplicate_groups import write_groups, write_list
from ..analysis.duplicates import duplicates_metrics, find_duplicates, write_duplicates
from ..analysis.neighbor_graph import open_graph
from ..datasets.manifest import Manifest, image_addresses, read_manifest
from ..figures.duplicates import draw_duplicates, draw_groups
from ..files.json_file import write_json
from ..params import Params, load_params, split_reference
from ..project import Project
from ..results.duplicates import DuplicatesResult
from ..results.record import save_record, tell_gaps
from ..store.neighbor_file import graph_name
from ..store.open_layer import open_layer
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    splits = [params.dataset.train, params.dataset.test]
    manifests = {split: read_manifest(project.manifest(split)) for split in splits}
    result = _find(project, params, manifests)
    save_record(result, project.result("duplicates"))
    tell_gaps(result, params.duplicates.of)

    write_json(project.metrics("duplicates"), duplicates_metrics(result))
    write_duplicates(result, project.report("duplicates", "duplicates.csv"))
    root = project.images(params.dataset.root)
    images = {split: image_addresses(manifest, root) for split, manifest in manifests.items()}
    draw_duplicates(result, images, project.report("duplicates", "sheet"))
    write_groups(result, project.report("duplicates", "groups.csv"))
    draw_groups(result, images, project.report("duplicates", "groups"))
    train, test = splits
    near = f"images of {train} that are near one of {test}"
    write_list(result.left_out, train, near, project.report("duplicates", "leave-out.txt"))
    larger = f"images of {train} whose group keeps another one of {train}, the largest"
    write_list(result.redundant, train, larger, project.report("duplicates", "redundant.txt"))


def _find(project: Project, params: Params, manifests: dict[str, Manifest]) -> DuplicatesResult:
    name, threshold = params.duplicates.of, params.duplicates.threshold
    if name is None:
        gaps = ("duplicates.of names no layer: none were looked for",)
        return DuplicatesResult(layer=None, threshold=threshold, gaps=gaps)
    files = [open_layer(name, split, params, project)[0] for split in manifests]
    path = project.neighbors(graph_name(name, "cosine", params.index.metric))
    pixels = {
        split: dict(zip(manifest.ids.tolist(), manifest.sizes.prod(axis=1, dtype=int).tolist(), strict=True))
        for split, manifest in manifests.items()
    }
    return find_duplicates(files, open_graph(path, files, split_reference(name)[1]), threshold, pixels)


if __name__ == "__main__":
    run(main)

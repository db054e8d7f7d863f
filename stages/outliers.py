"""The stage outliers: odd and typical images, and those that show next to nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from ..analysis.neighbor_graph import open_graph
from ..analysis.outliers.far_images import examine_layer
from ..analysis.outliers.looks import examine_looks
from ..analysis.outliers.tables import write_outliers
from ..datasets.looks import PictureLooks, read_looks
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.outliers import draw_distances, draw_looks, draw_odd, draw_typical
from ..files.json_file import write_json
from ..images.address import Address
from ..measures.robust_score import CUT
from ..params import Params, load_params, split_reference
from ..project import Project
from ..results.outliers import OddInLayer, OutliersResult
from ..results.record import save_record, tell_gaps
from ..store.open_layer import open_layer
from . import run

_OF_OBJECTS = "looks are those of whole pictures, whose objects are the rows"


def main() -> None:
    project = Project()
    params = load_params(project.params)
    splits = [params.dataset.train, params.dataset.test]
    manifests = {split: read_manifest(project.manifest(split)) for split in splits}
    root = project.images(params.dataset.root)
    images = {split: image_addresses(manifest, root) for split, manifest in manifests.items()}
    pictures = {split: _pictures(addresses) for split, addresses in images.items()}
    layers, gaps = _layers(project, params)
    shown = _looks_of(read_looks(project.looks), pictures)
    looks, unsaid = examine_looks(shown, params.outliers.listed)
    of_objects = (
        [_OF_OBJECTS] if any(pictures[split].keys() != images[split].keys() for split in splits) else []
    )
    result = OutliersResult(
        metric=params.index.metric,
        cut=CUT,
        layers=tuple(layers),
        pictures=len(shown),
        looks=tuple(looks),
        gaps=(*gaps, *unsaid, *of_objects) if params.outliers.of else (),
    )
    save_record(result, project.result("outliers"))
    tell_gaps(result)
    write_json(project.metrics("outliers"), result.metrics())
    write_outliers(result, project.report("outliers"))
    _draw(project, result, images, pictures)


def _layers(project: Project, params: Params) -> tuple[list[OddInLayer], list[str]]:
    found, gaps = list[OddInLayer](), list[str]()
    for reference in params.outliers.of:
        if not project.neighbors(reference).is_file():
            gaps.append(f"{reference}: its neighbors are not stored")
            continue
        splits = params.dataset.train, params.dataset.test
        files = [open_layer(reference, split, params, project)[0] for split in splits]
        graph = open_graph(project.neighbors(reference), files, split_reference(reference)[1])
        for file in files:
            part, unsaid = examine_layer(graph, file, params.outliers.k, params.outliers.listed)
            found += [part] if part else []
            gaps += unsaid
    return found, list(dict.fromkeys(gaps))


def _pictures(images: Mapping[str, Address]) -> dict[str, Address]:
    """{id of a picture: its address}; of rows that are objects the picture that they are on."""
    if not any(address.crop for address in images.values()):
        return dict(images)
    return {
        name.rpartition("#")[0]: dataclasses.replace(address, crop=None) for name, address in images.items()
    }


def _looks_of(looks: PictureLooks, pictures: Mapping[str, Mapping[str, Address]]) -> PictureLooks:
    named = zip(looks.splits.tolist(), looks.ids.tolist(), strict=True)
    return looks.take(np.array([name in pictures.get(split, ()) for split, name in named], bool))


def _draw(
    project: Project,
    result: OutliersResult,
    images: Mapping[str, Mapping[str, Address]],
    pictures: Mapping[str, Mapping[str, Address]],
) -> None:
    draw_looks(result.looks, pictures, project.report("outliers", "looks"))
    for reference, parts in result.by_layer.items():
        folder = project.report("outliers", reference)
        draw_odd(parts, images, result.cut, folder / "odd")
        draw_distances(parts, result.cut, folder / "distances")
        if (last := parts[-1]).typical:
            draw_typical(last, images[last.split], folder / "typical")


if __name__ == "__main__":
    run(main)

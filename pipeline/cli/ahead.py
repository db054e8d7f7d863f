"""What would stop a run, or leave a gap, as far as it is known before the first stage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ..datasets.download import YEARS
from ..datasets.kinds import list_splits
from ..datasets.listing import Listing
from ..datasets.objects import objects_ahead
from ..datasets.roots import open_tree
from ..errors import UserError
from ..extract.row_size import told_if_large
from ..files.hints import counted, some_of
from ..files.remote import has_listing, is_remote, problem_with
from ..params import Dataset, Model, Params
from ..project import Project

_OUTPUTS = 997  # of networks that are built for their shapes: no layer is so wide by itself


def folder_problems(params: Params, project: Project) -> Iterator[str]:
    """Folders and checkpoints that are not there, and folders that hold what is not theirs."""
    outputs = [folder.resolve() for folder in (project.manifests.parent, project.reports)]
    if problem := _problem_of_root(params.dataset, project, outputs):
        yield f"dataset.root: {problem}"
    if problem := _problem_of_cache(params.extract.cache, project, outputs):
        yield f"extract.cache: {params.extract.cache}: {problem}"
    for name, model in params.models.items():
        if model.weights_are_a_file and not project.model(model.weights).is_file():
            yield f"models.{name}.weights: {project.model(model.weights)}: no such file; put or link it there"


def _problem_of_root(dataset: Dataset, project: Project, outputs: list[Path]) -> str:
    if is_remote(dataset.root):  # what lies there is told when it is listed
        return problem_with(dataset.root)
    root, raw = Path(project.images(dataset.root)).resolve(), project.raw(dataset.name)
    if root != raw.resolve() and any(_overlap(root, folder) for folder in outputs):
        return (
            f"{dataset.root}: the project keeps what it makes in there; "
            f"put the images into a folder of their own, such as {raw}"
        )
    if not root.is_dir() and dataset.sample is None and dataset.name not in YEARS:
        return f"{dataset.root}: no such folder; put the data set there, or mend the path"
    return ""


def _problem_of_cache(setting: str, project: Project, outputs: list[Path]) -> str:
    if is_remote(setting):
        return problem_with(setting) or ("" if has_listing(setting) else "a web server is only read")
    cache = Path(project.row_cache(setting)).resolve()
    if project.root.resolve().is_relative_to(cache) or any(cache.is_relative_to(o) for o in outputs):
        return "give a folder that holds nothing else"
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return f"nothing can be written to {there}"
    return ""


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def splits_of(params: Params, project: Project) -> dict[str, Listing]:
    """The rows that the data set lists; nothing where it is still to be drawn or fetched."""
    root = project.images(params.dataset.root)
    if params.dataset.sample is not None or not (is_remote(root) or Path(root).is_dir()):
        return {}
    tree = open_tree(root)
    if tree.nowhere and not params.dataset.listing:  # DVC, which hashes what is there, would stop at it
        told = counted(len(tree.nowhere), "link that leads", "links that lead")
        raise UserError(
            f"dataset.root: {told} nowhere ({some_of(tree.nowhere, 3)}): "
            "remove it, or set dataset.listing: true"
        )
    listings = list_splits(params.dataset, tree, project.root, params.trained_on)
    if params.dataset.objects:
        return {split: objects_ahead(listing) for split, listing in listings.items()}
    return listings


def gaps_ahead(params: Params, listings: Mapping[str, Listing], root: str) -> Iterator[str]:
    """What the test split is too small or too uniform for, and images that it shares with a training."""
    listing = listings[params.dataset.test]
    count, shown = len(listing.ids), int((listing.labels.count(1) > 0).sum())
    found = f"{listing.split} has {counted(count, 'image')}"
    if params.neighbors.of and shown and params.neighbors.queries > shown:
        yield (
            f"neighbors.queries: {params.neighbors.queries} of different classes, but {listing.split} "
            f"shows {counted(shown, 'class', 'classes')}"
        )
    if params.neighbors.of and params.neighbors.k > count - 1:
        yield f"neighbors.k: {params.neighbors.k}, but {found}, of which one is the query"
    needed = int(np.ceil(3 * params.tsne.perplexity)) + 1
    if params.tsne.of and min(count, params.tsne.sample) < needed:
        yield f"tsne.perplexity: {params.tsne.perplexity:g} needs {needed} images, but {found}"
    if params.maps.of:
        yield from _maps_ahead(params.maps.methods, min(count, params.maps.sample))
    if params.ap.of and not shown:
        yield f"ap.of: no image of {listing.split} shows a class: there is no average precision"
    paths = [] if params.dataset.objects else [Path(root, path) for path in listing.paths]
    if len(paths) > 1 and _all_the_same(paths):
        yield f"{listing.split}: all {count} images have the same bytes: there is nothing to map or to rank"
    trained = {params.dataset.train, *(model.train.split for model in params.models.values() if model.train)}
    for split in sorted(listings.keys() & trained):
        if shared := set(listing.paths) & set(listings[split].paths):
            told = counted(len(shared), "image")
            yield f"{split} and {listing.split} share {told}: what is measured on them has been trained on"
    yield from dict.fromkeys(remark for part in listings.values() for remark in part.remarks)


def _maps_ahead(methods: Iterable[str], count: int) -> Iterator[str]:
    """Maps whose library is not installed, or that need more images."""
    from ..analysis.maps.methods import METHODS  # with openTSNE and scikit-learn

    for name in methods:
        method = METHODS[name]
        if missing := [each for each in method.packages if not _is_installed(each)]:
            yield f"maps.methods: {name}: {missing[0]} is not installed; {method.install}"
        if count < method.fewest:
            yield f"maps.methods: {name}: it needs {method.fewest} images, and there are {count}"


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _all_the_same(paths: list[Path]) -> bool:
    try:
        size, first = paths[0].stat().st_size, paths[0].read_bytes()
        sizes = (path.stat().st_size == size for path in paths)
        return all(sizes) and all(path.read_bytes() == first for path in paths[1:])
    except OSError:  # the stage says which
        return False


def device_problems(params: Params) -> Iterator[str]:
    """Devices of several kinds that may not be mixed, and such as the decoder does not decode on."""
    from ..extract.device_processes import devices_of

    try:
        devices_of(params.extract)
    except UserError as error:
        yield str(error)
    if params.extract.decoder == "nvjpeg" and "cpu" in params.extract.devices:
        yield "extract.decoder: nvjpeg decodes on a CUDA device, and extract.device names cpu; take turbojpeg"


def network_problems(
    params: Params, root: Path, widths: dict[str, int], tell: Callable[[str], None]
) -> Iterator[str]:
    """Architectures, crops, nodes and checkpoints that are none; puts the layers' widths into `widths`.

    `tell` is told of layers that take much room.
    """
    from ..models.preprocessing import settled, tell_if_other
    from ..models.sources import source_of
    from ..models.weights import checkpoint_problems

    for name in params.models:
        try:
            model = settled(name, params.models, root)
            found = _widths(model, root)
            if model.weights in ("imagenet", "pretrained"):
                source = source_of(model.architecture, root)
                trained_with = source.preprocessing(model.architecture, model.weights)
                tell_if_other(name, model.transform, trained_with, model.weights)
        except UserError as error:
            yield f"models.{name}: {str(error).removeprefix(f'models.{name}.')}"
            continue
        for layer, width in found.items():
            if large := told_if_large(f"{name}/{layer}", width, params.extract.dtype):
                tell(large)
        widths |= {f"{name}/{layer}": width for layer, width in found.items() if width != _OUTPUTS}
        yield from checkpoint_problems(name, model, Project(root).models, root)


def _widths(model: Model, root: Path) -> dict[str, int]:
    """{layer: number of values}, by shapes alone."""
    from ..models.layers import check_nodes, nodes_of, shapes_of
    from ..models.network import check_buildable, options_of

    crop = model.transform.crop
    options = options_of(model.architecture, model.arguments, root)
    check_buildable(model.architecture, crop, options, root)
    nodes = nodes_of(model.architecture, _OUTPUTS, crop, options, root)
    check_nodes(nodes, model.nodes)
    shapes = shapes_of(nodes, model.nodes.values())
    return {name: shapes[layer].width for name, layer in model.nodes.items()}


def derive_problems(params: Params, rows: int | None, widths: dict[str, int]) -> Iterator[str]:
    """Steps that want wider layers or more training rows; puts the widths of derived layers into `widths`."""
    from ..analysis.derived_layer import width_after

    for name, derived in params.derive.items():
        if derived.of not in widths:
            continue
        try:
            width = width_after(derived.steps, widths[derived.of], rows)
        except ValueError as error:
            yield f"derive.{name}.steps: {error}"
            continue
        widths[f"{name}/{derived.of.partition('/')[2]}"] = width


def index_problems(params: Params, rows: int | None, widths: Mapping[str, int]) -> Iterator[str]:
    """A factory that the engine does not know, or that wants more rows than there are."""
    from ..search.faiss_index import new_index, training_sample
    from ..search.lance_index import parts_of

    factory = params.index.factory
    for layer in [layer for layer in params.index.of if layer in widths and factory != "auto"]:
        try:
            if params.index.engine == "lance":
                parts_of(factory)
            new_index(widths[layer], factory, params.index.metric)
            if rows is not None:
                training_sample(rows, widths[layer], factory, params.index.seed)
        except UserError as error:
            yield f"{error} ({layer})"
            return

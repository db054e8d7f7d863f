"""Images in tar shards, with their labels beside them: `root/train-000000.tar`; nothing is unpacked."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ...errors import UserError
from ...files.hints import counted, some_of
from ...images.address import Address
from ...labels import Labels
from ...params import Dataset
from ...params.sections import Columns
from ..listing import Listing, can_be_written
from ..tree import Tree
from .known_shards import know_shards
from .shard import Shard
from .shard_files import shards_by_split


def list_webdataset(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits of tar shards, which `shards_by_split` finds.

    An image's id is its sample's name (`read_shard`), behind its shard's if a name is in two. Classes are the
    labels that are there, numbers by their size; where all are numbers, they count the names in
    `dataset.classes` from 0. An image without a label shows no class.

    Raises
    ------
    UserError
        One line that names the archive, and the member at fault.
    """
    for name in ("split", "id"):
        if getattr(dataset.columns, name) != getattr(Columns(), name):
            raise UserError(f"dataset.columns.{name}: shards have no such column; leave it out")
    shards_of = shards_by_split(tree, dataset, also)
    paths = list(dict.fromkeys(path for paths in shards_of.values() for path in paths))
    shards = know_shards(tree, paths, dataset.columns)
    for split, paths in shards_of.items():
        if not any(shards[path].keys for path in paths):
            of_split = f" of the split {split}" if split else ""
            raise UserError(f"{tree.root}: no image in {counted(len(paths), 'shard')}{of_split}")
    _refuse_a_field_that_is_nowhere(tree, shards.values(), dataset.columns)
    names = {name for shard in shards.values() for labels in shard.labels for name in labels or ()}
    classes, column_of = _classes(names, dataset)
    ids = _ids(shards)
    remarks = tuple(_remarks(shards, bool(classes)))
    return {
        split: Listing(
            split,
            classes,
            tuple(name for path in paths for name in ids[path]),
            tuple(
                str(Address(path, name, span))
                for path in paths
                for name, span in zip(shards[path].images, shards[path].spans, strict=True)
            ),
            _labels([names for path in paths for names in shards[path].labels], column_of, len(classes)),
            remarks=remarks,
        )
        for split, paths in shards_of.items()
    }


def _refuse_a_field_that_is_nowhere(tree: Tree, shards: Iterable[Shard], columns: Columns) -> None:
    if columns.labels and all(labels is None for shard in shards for labels in shard.labels):
        raise UserError(
            f"{tree.root}: beside no image in the shards is a member, or a field of its .json, called "
            f"{columns.labels}, which dataset.columns.labels names"
        )


def _ids(shards: Mapping[str, Shard]) -> dict[str, list[str]]:
    """The ids of each shard's images, which are different in all of them."""
    total = sum(len(shard.keys) for shard in shards.values())
    if len({key for shard in shards.values() for key in shard.keys}) == total:
        return {path: shard.keys for path, shard in shards.items()}
    return {
        path: [f"{path.removesuffix('.tar')}/{key}" for key in shard.keys] for path, shard in shards.items()
    }


def _labels(names: Sequence[tuple[str, ...] | None], column_of: Mapping[str, int], classes: int) -> Labels:
    shown = [{column_of[name] for name in own or ()} for own in names]  # 1 and 01 may be one
    rows = np.repeat(np.arange(len(shown)), list(map(len, shown)))
    columns = np.array([column for own in shown for column in own], np.int64)
    return Labels.of(rows, columns, np.ones(len(rows)), (len(shown), classes))


def _classes(names: Collection[str], dataset: Dataset) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes in order, and which of them each label is."""
    for name in names:
        if not can_be_written(name):
            raise UserError(f"{dataset.root}: the label {name!r} has a control character")
    wanted = dataset.classes
    by_number = names and all(map(_is_number, names)) and not set(wanted) & set(names)
    if by_number and wanted and isinstance(wanted, tuple):
        return wanted, _numbered(names, wanted)
    # a class that no image happens to show is one all the same
    named = {*names, *dataset.class_names} if names else set()
    ordered = sorted(named, key=lambda name: (int(name) if _is_number(name) else sys.maxsize, name))
    return tuple(ordered), {name: number for number, name in enumerate(ordered)}


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 19


def _numbered(names: Iterable[str], wanted: Sequence[str]) -> dict[str, int]:
    column_of = {name: int(name) for name in names}
    if (most := max(column_of.values())) >= len(wanted):
        raise UserError(
            f"dataset.classes: {counted(len(wanted), 'name')}, but a label is {most}; they count from 0"
        )
    return column_of


def _remarks(shards: Mapping[str, Shard], has_classes: bool) -> Iterable[str]:
    """What was odd in the shards, a sentence each."""
    if empty := [path for path, shard in shards.items() if not shard.keys]:
        yield f"{counted(len(empty), 'shard')} without an image: {some_of(empty, 5)}"
    if lacking := sum(shard.lacking for shard in shards.values()):
        yield f"{counted(lacking, 'sample')} of the shards without an image"
    if links := sum(shard.links for shard in shards.values()):
        yield f"{counted(links, 'symbolic link')} in the shards not followed: pack with tar --dereference"
    unlabelled = [
        f"{path}#{key}"
        for path, shard in shards.items()
        for key, labels in zip(shard.keys, shard.labels, strict=True)
        if has_classes and not labels
    ]
    if unlabelled:
        amount = counted(len(unlabelled), "image")
        yield f"{amount} in the shards without a label, taken as showing no class: {some_of(unlabelled, 5)}"

"""Images in tar shards, with their labels beside them: `root/train-000000.tar`; nothing is unpacked."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ..errors import UserError
from ..files.hints import counted, some_of
from ..labels import Labels
from ..params import Dataset
from ..params.sections import Columns
from .address import Address
from .image_tree import draw_splits
from .listing import Listing, can_be_written
from .shard import Shard, read_shard
from .shard_files import shards_by_split
from .tree import Tree


@dataclasses.dataclass(frozen=True)
class _Samples:
    """The N samples of some shards."""

    ids: list[str]
    names: list[str]  # of the images, by whose hash splits are drawn
    paths: list[str]
    labels: list[tuple[str, ...] | None]


def list_webdataset(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits of tar shards (`shards_by_split`); drawn where the shards' names say none.

    An image's id is its sample's name (`shard`), behind its shard's if a name is in two. Classes are the
    labels that are there, numbers by their size; where all are numbers, they count the names in
    `dataset.classes` from 0. An image without a label shows no class.

    Raises
    ------
    UserError
        One line that names the archive, and the member at fault.
    """
    _refuse_columns(dataset.columns)
    shards_of = shards_by_split(tree, dataset, also)
    shards = {
        path: _read(tree, path, dataset.columns)
        for path in dict.fromkeys(path for paths in shards_of.values() for path in paths)
    }
    samples = _together(shards)
    if not any(len(part.ids) for part in samples.values()):
        raise UserError(f"{tree.root}: no image in {counted(len(shards), 'shard')}")
    names = {name for shard in shards.values() for labels in shard.labels for name in labels or ()}
    classes, column_of = _classes(names, dataset)
    remarks = _remarks(shards, bool(classes))
    return {
        split: _listing(split, classes, column_of, part, remarks)
        for split, part in _by_split(tree, dataset, shards_of, samples).items()
    }


def _refuse_columns(columns: Columns) -> None:
    for name in ("split", "id"):
        if getattr(columns, name) != getattr(Columns(), name):
            raise UserError(f"dataset.columns.{name}: shards have no such column; leave it out")


def _read(tree: Tree, path: str, columns: Columns) -> Shard:
    try:
        with tree.open(path) as file:
            return read_shard(file, tree.where(path), columns)
    except FileNotFoundError:
        raise UserError(f"dataset.files: {tree.where(path)}: no such file") from None


def _together(shards: Mapping[str, Shard]) -> dict[str, _Samples]:
    """The samples of each shard, with names that are different in all of them."""
    total = sum(len(shard.keys) for shard in shards.values())
    alone = len({key for shard in shards.values() for key in shard.keys}) == total
    found = {}
    for path, shard in shards.items():
        before = "" if alone else f"{path.removesuffix('.tar')}/"
        found[path] = _Samples(
            [before + key for key in shard.keys],
            [before + name for name in shard.images],
            [str(Address(path, name, span)) for name, span in zip(shard.images, shard.spans, strict=True)],
            shard.labels,
        )
    return found


def _by_split(
    tree: Tree, dataset: Dataset, shards_of: Mapping[str, Sequence[str]], samples: Mapping[str, _Samples]
) -> dict[str, _Samples]:
    parts = {split: _joined(samples[path] for path in paths) for split, paths in shards_of.items()}
    if "" not in parts:
        if empty := [split for split, part in parts.items() if not part.ids]:
            raise UserError(f"{tree.root}: no image in the shards of the split {empty[0]}")
        return parts
    every = parts[""]
    row_of = {name: row for row, name in enumerate(every.names)}
    groups: dict[tuple[str, ...] | None, list[str]] = {}
    one_each = all(labels is not None and len(labels) == 1 for labels in every.labels)
    for name, labels in zip(every.names, every.labels, strict=True):
        groups.setdefault(labels if one_each else None, []).append(name)
    drawn = draw_splits(groups.values(), dataset, tree.root)
    return {split: _rows(every, [row_of[name] for name in names]) for split, names in drawn.items()}


def _joined(parts: Iterable[_Samples]) -> _Samples:
    whole = _Samples([], [], [], [])
    for part in parts:
        for field in dataclasses.fields(whole):
            getattr(whole, field.name).extend(getattr(part, field.name))
    return whole


def _rows(samples: _Samples, rows: Sequence[int]) -> _Samples:
    columns = (getattr(samples, field.name) for field in dataclasses.fields(samples))
    return _Samples(*([column[row] for row in rows] for column in columns))


def _classes(names: Collection[str], dataset: Dataset) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes in order, and which of them each label is."""
    for name in names:
        if not can_be_written(name):
            raise UserError(f"{dataset.root}: the label {name!r} has a control character")
    wanted = dataset.classes
    by_number = names and all(map(_is_number, names)) and not set(wanted) & set(names)
    if by_number and wanted and isinstance(wanted, tuple):
        return wanted, _numbered(names, wanted)
    ordered = sorted(names, key=lambda name: (int(name) if _is_number(name) else sys.maxsize, name))
    return tuple(ordered), {name: number for number, name in enumerate(ordered)}


def _numbered(names: Iterable[str], wanted: Sequence[str]) -> dict[str, int]:
    column_of = {name: int(name) for name in names}
    if (most := max(column_of.values())) >= len(wanted):
        raise UserError(
            f"dataset.classes: {counted(len(wanted), 'name')}, but a label is {most}; they count from 0"
        )
    return column_of


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _listing(
    split: str,
    classes: tuple[str, ...],
    column_of: Mapping[str, int],
    samples: _Samples,
    remarks: Sequence[str],
) -> Listing:
    counts = [len(labels or ()) for labels in samples.labels]
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = np.array([column_of[name] for labels in samples.labels for name in labels or ()], np.int64)
    labels = Labels.of(rows, columns, np.ones(len(rows)), (len(counts), len(classes)))
    ids, paths = tuple(samples.ids), tuple(samples.paths)
    return Listing(split, classes, ids, paths, labels, remarks=tuple(remarks))


def _remarks(shards: Mapping[str, Shard], has_classes: bool) -> list[str]:
    """What was odd in the shards, a sentence each."""
    remarks = []
    if empty := [path for path, shard in shards.items() if not shard.keys]:
        remarks.append(f"{counted(len(empty), 'shard')} without an image: {some_of(empty, 5)}")
    if lacking := sum(shard.lacking for shard in shards.values()):
        remarks.append(f"{counted(lacking, 'sample')} of the shards without an image")
    if links := sum(shard.links for shard in shards.values()):
        remarks.append(
            f"{counted(links, 'symbolic link')} in the shards not followed: pack with tar --dereference"
        )
    unlabelled = [
        f"{path}#{key}"
        for path, shard in shards.items()
        for key, labels in zip(shard.keys, shard.labels, strict=True)
        if has_classes and not labels
    ]
    if unlabelled:
        remarks.append(
            f"{counted(len(unlabelled), 'image')} in the shards without a label, taken as showing no class: "
            + some_of(unlabelled, 5)
        )
    return remarks

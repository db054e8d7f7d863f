"""Checking what is stored against its checksums, byte by byte."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from ..files.digests import sha256_of_file
from .feature_file import FeatureFile, StoredArray
from .logits_file import read_logits
from .neighbor_file import NeighborFile
from .row_cache import RowCache, folder_of
from .row_shape import FILE as SHAPE
from .row_shape import read_shape
from .row_shard import SUFFIX, DamagedShard, read_shard
from .shard_store import ShardStore


def verify_feature_file(path: Path | str) -> list[str]:
    """What is damaged in a feature file, a line for each piece; empty if every byte is as it was written."""
    try:
        file = FeatureFile.open(path)
    except UserError as error:
        return [str(error)]
    with ThreadPoolExecutor(2) as threads:  # hashing and reading let go of the interpreter's lock
        found = threads.map(StoredArray.damaged_blocks, file.arrays.values())
        return [
            f"{path}: {name}, {_rows(start, stop)}: damaged"
            for name, blocks in zip(file.arrays, found, strict=True)
            for start, stop in _joined(blocks)
        ]


def verify_fit(path: Path) -> list[str]:
    """What is wrong with what a derived layer was computed by, by the files beside it: one line, or none."""
    try:
        files = [FeatureFile.open(beside) for beside in sorted(path.parent.glob("*.h5"))]
    except UserError as error:
        return [f"{path}: nothing to check it by ({error})"]
    keys = [file.feature_key(layer) for file in files for layer in file.layers]
    noted = {key.derived[-1].fit for key in keys if key.derived}
    return [] if noted == {sha256_of_file(path)} else [f"{path}: damaged, or not that of the files beside it"]


def verify_neighbor_file(path: Path | str) -> list[str]:
    """What is damaged in a neighbor graph: one line, or none."""
    try:
        graph = NeighborFile.open(path)
        for asking, found in itertools.product(graph.splits, repeat=2):
            graph.nearest(asking, found)
    except UserError as error:
        return [str(error)]
    return []


def verify_logits_file(path: Path | str) -> list[str]:
    """What is damaged in a probe's logits, as far as that shows: one line, or none."""
    try:
        read_logits(path)
    except UserError as error:
        return [str(error)]
    return []


def verify_shard(file: StoredFile) -> list[str]:
    """What is damaged in a shard of the row cache: one line, or none."""
    try:
        shard, _ = read_shard(file.store, file.name)
        if folder_of(shard.key) != file.folder:
            raise DamagedShard("it lies in the folder of another feature key")
        if not shard.is_intact():
            raise DamagedShard("its rows are damaged")
    except DamagedShard as error:
        return [f"{file}: {error}; the next extraction sets it aside and computes its rows again"]
    except FileNotFoundError:
        pass  # removed by a collection meanwhile
    return []


def verify_shape(file: StoredFile) -> list[str]:
    """What is damaged in what the row cache keeps of a layer's shape: one line, or none."""
    if read_shape(file.store, file.folder):
        return []
    try:
        file.store.stat(file.name)
    except FileNotFoundError:  # removed by a collection meanwhile
        return []
    return [f"{file}: damaged; the next extraction asks the network for it again"]


def shapes_of(root: Path | str) -> list[StoredFile]:
    """The files with the shapes of a row cache's layers, in order."""
    return [file for file in _files(root) if file.name.endswith(f"/{SHAPE}")]


def shards_of(root: Path | str) -> list[StoredFile]:
    """The shards of a row cache, in order."""
    return [file for file in _files(root) if file.name.endswith(SUFFIX)]


class StoredFile(NamedTuple):
    """A file of a row cache; as text, what a user calls it."""

    store: ShardStore
    name: str

    @property
    def folder(self) -> str:
        """The folder of its feature key."""
        return self.name.rpartition("/")[0]

    def __str__(self) -> str:
        return self.store.where(self.name)


def _files(root: Path | str) -> list[StoredFile]:
    cache = RowCache(root)
    names = [f"{folder}/{name}" for folder in cache.folders() for name in cache.store.files(folder)]
    return [StoredFile(cache.store, name) for name in sorted(names)]


def _rows(start: int, stop: int) -> str:
    return f"row {start}" if stop == start + 1 else f"rows {start} to {stop - 1}"


def _joined(blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in blocks:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined

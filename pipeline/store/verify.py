"""Checking what is stored against its checksums, byte by byte."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import UserError
from .feature_file import FeatureFile, StoredArray
from .logits_file import read_logits
from .neighbor_file import NeighborFile
from .row_cache import RowCache
from .row_shape import FILE as SHAPE
from .row_shape import read_shape
from .row_shard import SUFFIX, DamagedShard, read_shard


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


def verify_shard(path: Path) -> list[str]:
    """What is damaged in a shard of the row cache: one line, or none."""
    try:
        shard = read_shard(path)
        if shard.key.hex != path.parent.name:
            raise DamagedShard("it lies in the folder of another feature key")
        if not shard.is_intact():
            raise DamagedShard("its rows are damaged")
    except DamagedShard as error:
        return [f"{path}: {error}; the next extraction sets it aside and computes its rows again"]
    except FileNotFoundError:
        pass  # removed by a collection meanwhile
    return []


def verify_shape(path: Path) -> list[str]:
    """What is damaged in what the row cache keeps of a layer's shape: one line, or none."""
    if read_shape(path.parent) or not path.is_file():
        return []
    return [f"{path}: damaged; the next extraction asks the network for it again"]


def shapes_of(root: Path | str) -> list[Path]:
    """The files with the shapes of a row cache's layers, in order."""
    return [folder / SHAPE for folder in RowCache(root).folders() if (folder / SHAPE).is_file()]


def shards_of(root: Path | str) -> list[Path]:
    """The shards of a row cache, in order."""
    folders = RowCache(root).folders()
    return sorted(path for folder in folders for path in folder.iterdir() if path.suffix == SUFFIX)


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

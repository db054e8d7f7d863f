"""What a row cache holds, and how it is made smaller."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from .feature_key import FeatureKey
from .row_cache import RowCache
from .row_shape import FILE as SHAPE
from .row_shard import SUFFIX, DamagedShard, read_shard

_ASIDE = ".damaged"


@dataclasses.dataclass(frozen=True)
class KeyUse:
    """What a cache holds of one feature key.

    Attributes
    ----------
    digest : str
        Of the key, in hexadecimal.
    key : FeatureKey or None
        None where no shard can be read.
    rows, shards : int
    size : int
        Bytes, with those of shards that have been set aside, and of the rows' shape.
    last_used : float
        Seconds since the epoch.
    """

    digest: str
    key: FeatureKey | None
    rows: int
    shards: int
    size: int
    last_used: float


@dataclasses.dataclass(frozen=True)
class Removed:
    """What a collection removed."""

    shards: int
    size: int


def cache_usage(root: Path | str) -> list[KeyUse]:
    """What a row cache holds, key by key, the largest first."""
    uses = []
    for folder in key_folders(RowCache(root)):
        key, rows, shards = None, 0, 0
        if not shards_in(folder):  # a shape alone: the rows are in another cache
            continue
        stats = [path.stat() for path in _files_in(folder)]
        for path in (p for p in shards_in(folder) if p.suffix == SUFFIX):
            try:
                shard = read_shard(path)
            except (DamagedShard, FileNotFoundError):
                continue
            key, rows, shards = shard.key, rows + len(shard), shards + 1
        size, last_used = sum(s.st_size for s in stats), max((s.st_mtime for s in stats), default=0.0)
        uses.append(KeyUse(folder.name, key, rows, shards, size, last_used))
    return sorted(uses, key=lambda use: (-use.size, use.digest))


def remove_unused(root: Path | str, in_use: Collection[str]) -> Removed:
    """Remove the rows of every feature key that is not in use, and shards that have been set aside.

    Parameters
    ----------
    in_use : collection of str
        Digests of keys, in hexadecimal.

    Raises
    ------
    UserError
        If an extraction is at work on this cache.
    """
    cache = RowCache(root)
    with cache.exclusively():
        return _remove(
            path
            for folder in key_folders(cache)
            for path in _files_in(folder)
            if folder.name not in in_use or path.suffix == _ASIDE
        )


def shrink_to(root: Path | str, size: int) -> Removed:
    """Remove the shards that were used least lately, until the cache takes no more than `size` bytes.

    Raises
    ------
    UserError
        If an extraction is at work on this cache.
    """
    cache = RowCache(root)
    with cache.exclusively():
        files = [(path, path.stat()) for folder in key_folders(cache) for path in _files_in(folder)]
        order = [_ASIDE, SUFFIX, Path(SHAPE).suffix]
        files.sort(key=lambda item: (order.index(item[0].suffix), item[1].st_mtime, item[0].name))
        excess = sum(stat.st_size for _, stat in files) - size
        doomed = []
        for path, stat in files:
            if excess > 0:
                doomed.append(path)
                excess -= stat.st_size
        return _remove(doomed)


def key_folders(cache: RowCache) -> list[Path]:
    """The folders that are named by a feature key; what else lies there is not the cache's to remove."""
    return [path for path in cache.folders() if re.fullmatch(r"[0-9a-f]{32}", path.name)]


def shards_in(folder: Path) -> list[Path]:
    """The shards in a folder, those that have been set aside among them, by their names."""
    shard = re.compile(rf"[0-9a-f]{{16}}{re.escape(SUFFIX)}({re.escape(_ASIDE)})?")
    return [path for path in folder.iterdir() if shard.fullmatch(path.name) and path.is_file()]


def _files_in(folder: Path) -> list[Path]:
    """The shards, and the shape of their rows."""
    return [*shards_in(folder), *(path for path in [folder / SHAPE] if path.is_file())]


def _remove(doomed: Iterable[Path]) -> Removed:
    """Remove files, and the shape and the folder of a key of which no shard is left."""
    paths = set(doomed)
    folders = {path.parent for path in paths}
    for folder in folders:
        if not set(shards_in(folder)) - paths:
            paths.update(_files_in(folder))
    sizes = [path.stat().st_size for path in paths]
    for path in paths:
        path.unlink()
    for folder in folders:
        if not any(folder.iterdir()):
            folder.rmdir()
    return Removed(sum(path.name != SHAPE for path in paths), sum(sizes))

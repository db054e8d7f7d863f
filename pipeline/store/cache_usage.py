"""What a row cache holds, and how it is made smaller."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from .feature_key import FeatureKey
from .row_cache import DAMAGED, RowCache
from .row_shape import FILE as SHAPE
from .row_shard import SUFFIX, DamagedShard, read_shard
from .shard_store import Entry, ShardStore


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
    cache = RowCache(root)
    uses = []
    for folder in key_folders(cache):
        files = files_in(cache.store, folder)
        key, rows, shards = None, 0, 0
        if set(files) <= {SHAPE}:  # a shape alone: the rows are in another cache
            continue
        for name in (name for name in files if name.endswith(SUFFIX)):
            try:
                shard, _ = read_shard(cache.store, f"{folder}/{name}", files[name].size)
            except (DamagedShard, FileNotFoundError):
                continue
            key, rows, shards = shard.key, rows + len(shard), shards + 1
        size, last_used = sum(f.size for f in files.values()), max(f.used for f in files.values())
        uses.append(KeyUse(folder.rpartition("/")[2], key, rows, shards, size, last_used))
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
            cache,
            {
                (folder, name)
                for folder, name, _ in _files(cache)
                if folder.rpartition("/")[2] not in in_use or name.endswith(DAMAGED)
            },
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
        files = list(_files(cache))
        order = [DAMAGED, SUFFIX, Path(SHAPE).suffix]
        files.sort(key=lambda file: (order.index(Path(file[1]).suffix), file[2].used, file[1]))
        excess = sum(entry.size for _, _, entry in files) - size
        doomed = set()
        for folder, name, entry in files:
            if excess > 0:
                doomed.add((folder, name))
                excess -= entry.size
        return _remove(cache, doomed)


def key_folders(cache: RowCache) -> list[str]:
    """The folders that are named by a feature key; what else lies there is not the cache's to remove."""
    return [folder for folder in cache.folders() if re.fullmatch(r"rows/[0-9a-f]{32}", folder)]


def files_in(store: ShardStore, folder: str) -> dict[str, Entry]:
    """The shards in a folder, those that have been set aside among them, and the shape of their rows."""
    ours = re.compile(rf"[0-9a-f]{{16}}{re.escape(SUFFIX)}({re.escape(DAMAGED)})?|{re.escape(SHAPE)}")
    return {name: entry for name, entry in sorted(store.files(folder).items()) if ours.fullmatch(name)}


def _files(cache: RowCache) -> Iterator[tuple[str, str, Entry]]:
    for folder in key_folders(cache):
        for name, entry in files_in(cache.store, folder).items():
            yield folder, name, entry


def _remove(cache: RowCache, doomed: Collection[tuple[str, str]]) -> Removed:
    """Remove (folder, file)s, and the shape of a key of which no shard is left."""
    gone, size = set(doomed), 0
    for folder in {folder for folder, _ in doomed}:
        files = files_in(cache.store, folder)
        if not {name for name in files if name != SHAPE and (folder, name) not in gone}:
            gone |= {(folder, name) for name in files}
        size += sum(entry.size for name, entry in files.items() if (folder, name) in gone)
    for folder, name in gone:
        cache.store.remove(f"{folder}/{name}")
    return Removed(sum(name != SHAPE for _, name in gone), size)

"""Taking an image's rows out of a row cache: shards are immutable, so those that hold one are made anew."""

from __future__ import annotations

import dataclasses
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..files.atomic import sync_directory
from .cache_usage import key_folders, shards_in
from .feature_key import FeatureKey
from .row_cache import RowCache, is_in
from .row_shard import DamagedShard, Shard, read_shard, write_shard


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What was taken out of a row cache.

    Attributes
    ----------
    keys : tuple of FeatureKey
        Of which there were rows of the images.
    rows : int
    size : int
        Bytes of these rows.
    damaged : int
        Damaged shards, which are removed whole: nobody can say which rows they hold.
    """

    keys: tuple[FeatureKey, ...]
    rows: int
    size: int
    damaged: int


def forget_rows(root: Path | str, digests: np.ndarray, *, dry_run: bool = False) -> Forgotten:
    """Take the rows of some images out of a row cache, whatever their feature key.

    A shard with such a row is written again without it, and put in place, before it is removed. So a kill
    at any time loses no other row, and what it leaves to do the next call does.

    Parameters
    ----------
    digests : (n, 16) uint8
    dry_run : bool
        Only say what there is.

    Raises
    ------
    UserError
        If an extraction is at work on this cache.
    """
    cache = RowCache(root)
    if not cache.folders():
        return Forgotten((), 0, 0, 0)
    with cache.exclusively():
        rows = damaged = size = 0
        keys: dict[str, FeatureKey] = {}
        for path, shard in _shards(cache):
            doomed = np.ones(0, bool) if shard is None else is_in(shard.digests, digests)
            if shard is not None and not doomed.any():
                continue
            if shard is not None:
                keys[shard.key.hex] = shard.key
                rows += int(doomed.sum())
                size += int(doomed.sum()) * shard.width * np.dtype(shard.key.dtype).itemsize
            if shard is None or not (doomed.all() or shard.is_intact()):
                damaged, shard = damaged + 1, None
            if not dry_run:
                if shard is not None and not doomed.all():
                    _write_without(cache, shard, doomed)
                path.unlink()
                sync_directory(path.parent)
    return Forgotten(tuple(keys.values()), rows, size, damaged)


def _shards(cache: RowCache) -> Iterator[tuple[Path, Shard | None]]:
    """All shards; None for a damaged one."""
    for path in (path for folder in key_folders(cache) for path in shards_in(folder)):
        try:
            yield path, read_shard(path)
        except DamagedShard:
            yield path, None
        except FileNotFoundError:  # another program has removed it
            continue


def _write_without(cache: RowCache, shard: Shard, doomed: np.ndarray) -> None:
    """Put a shard with the other rows beside a shard."""
    folder = cache.root / "writers" / uuid.uuid4().hex  # what a kill leaves there, the next writer sweeps
    folder.mkdir()
    try:
        temporary = folder / "unfinished.tmp"
        name = write_shard(temporary, shard.key, shard.digests[~doomed], shard.map()[~doomed])
        used = shard.path.stat()
        os.utime(temporary, ns=(used.st_atime_ns, used.st_mtime_ns))  # what `shrink_to` goes by
        temporary.replace(shard.path.with_name(name))
        sync_directory(shard.path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

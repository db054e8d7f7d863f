"""Taking an image's rows out of a row cache: shards are immutable, so those that hold one are made anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .cache_usage import files_in, key_folders
from .feature_key import FeatureKey
from .row_cache import RowCache, is_in
from .row_shape import FILE as SHAPE
from .row_shard import DamagedShard, Shard, Table, encode_shard, read_shard


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
    with cache.exclusively() as unfinished:
        rows = damaged = size = 0
        keys: dict[str, FeatureKey] = {}
        for name, used, read in _shards(cache):
            kept = np.ones(0, bool) if read is None else ~is_in(read[1].in_order_of_rows(), digests)
            if read is not None and kept.all():
                continue
            if read is not None:
                shard, gone = read[0], int((~kept).sum())
                keys[shard.key.hex] = shard.key
                rows += gone
                size += gone * shard.width * np.dtype(shard.key.dtype).itemsize
            if read is None or (kept.any() and not read[0].is_intact()):
                damaged, read = damaged + 1, None
            if not dry_run:
                if read is not None and kept.any():
                    _write_without(cache, *read, np.flatnonzero(kept), used, unfinished)
                cache.store.remove(name)
    return Forgotten(tuple(keys.values()), rows, size, damaged)


def _shards(cache: RowCache) -> Iterator[tuple[str, float, tuple[Shard, Table] | None]]:
    """All shards: name, when it was used, and what it is; None for a damaged one."""
    for folder in key_folders(cache):
        for name, entry in files_in(cache.store, folder).items():
            if name == SHAPE:
                continue
            try:
                yield f"{folder}/{name}", entry.used, read_shard(cache.store, f"{folder}/{name}", entry.size)
            except DamagedShard:
                yield f"{folder}/{name}", entry.used, None
            except FileNotFoundError:  # another program has removed it
                continue


def _write_without(
    cache: RowCache, shard: Shard, table: Table, kept: np.ndarray, used: float, unfinished: str
) -> None:
    """Put a shard with the kept rows beside a shard."""
    digests = table.in_order_of_rows()[kept]
    name, parts = encode_shard(shard.key, digests, shard.take(kept), shard.device)
    whole = f"{shard.name.rpartition('/')[0]}/{name}"
    cache.store.put(whole, parts, unfinished)
    cache.store.touch(whole, used)  # what `shrink_to` goes by

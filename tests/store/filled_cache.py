"""A row cache with rows whose values are their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pool5.store.feature_key import FeatureKey
from pool5.store.row_cache import RowCache
from pool5.store.row_shard import Shard, encode_shard, read_shard
from pool5.store.shard_store import FolderStore

KEY = FeatureKey("net", "0" * 64, "fc", {"crop": 224}, "fp32", "float32", 1)
OTHER = FeatureKey("net", "0" * 64, "pool", {"crop": 224}, "fp32", "float16", 1)


def digests_of(numbers: list[int] | range) -> np.ndarray:
    return np.array([[n // 256, *[7] * 14, n % 256] for n in numbers], np.uint8).reshape(-1, 16)


def rows_of(numbers: list[int] | range, dtype: str = "f4") -> np.ndarray:
    return np.array([[n, n + 0.5, -n] for n in numbers], dtype).reshape(-1, 3)


def fill(root: Path, *parts: list[int] | range, key: FeatureKey = KEY) -> None:
    with RowCache(root).writer() as writer:
        for numbers in parts:
            writer.add(key, digests_of(numbers), rows_of(numbers, key.dtype))


def put_shard(path: Path, key: FeatureKey, numbers: list[int] | range) -> None:
    """A shard by itself, under another name than its content asks for."""
    _, parts = encode_shard(key, digests_of(numbers), rows_of(numbers, key.dtype))
    path.write_bytes(b"".join(parts))


def shard_at(path: Path) -> Shard:
    return read_shard(FolderStore(path.parent), path.name)[0]


def paths_of(root: Path, key: FeatureKey = KEY) -> list[Path]:
    """The shards of a key in a cache."""
    return [Path(shard.where) for shard in RowCache(root).rows(key).shards]


def digests_in(path: Path) -> np.ndarray:
    """The digests in a shard, row by row."""
    return read_shard(FolderStore(path.parent), path.name)[1].in_order_of_rows()

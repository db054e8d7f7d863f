"""A row cache with rows whose values are their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pool5.store.feature_key import FeatureKey
from pool5.store.row_cache import RowCache

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

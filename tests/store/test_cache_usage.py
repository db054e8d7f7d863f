"""What a collection removes: shards of the cache's own, and nothing that somebody else put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pool5.store.cache_usage import cache_usage, remove_unused, shrink_to
from pool5.store.feature_key import FeatureKey
from pool5.store.row_cache import RowCache

KEY = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1)


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A cache with one shard, and what its folder holds beside."""
    with RowCache(tmp_path).writer() as writer:
        writer.add(
            KEY, np.zeros((2, 16), np.uint8) + np.arange(2, dtype=np.uint8)[:, None], np.ones((2, 4), "f4")
        )
    (own,) = (tmp_path / "rows").iterdir()
    others = [
        tmp_path / "rows/holiday/beach.jpg",
        tmp_path / "rows/holiday/0123456789abcdef.rows",
        own / "notes.txt",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not of the cache")
    (tmp_path / "rows" / ("0" * 32)).mkdir()
    others.append(tmp_path / "rows" / ("0" * 32) / "sub")
    others[-1].mkdir()
    return tmp_path, others


@pytest.mark.parametrize("collect", [lambda root: remove_unused(root, ()), lambda root: shrink_to(root, 0)])
def test_a_collection_removes_its_own_shards_only(shared: tuple[Path, list[Path]], collect) -> None:
    root, others = shared
    (use,) = [use for use in cache_usage(root) if use.shards]
    assert (use.digest, use.rows) == (KEY.hex, 2)
    removed = collect(root)
    assert (removed.shards, removed.size) == (1, use.size)
    assert all(path.exists() for path in others)
    assert not list(root.glob(f"rows/{KEY.hex}/*.rows"))

"""What a collection removes: shards of the cache's own, and nothing that somebody else put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pool5.store.cache_usage import cache_usage, remove_unused, shrink_to
from pool5.store.feature_key import FeatureKey
from pool5.store.layer_shape import LayerShape
from pool5.store.row_cache import RowCache

KEY = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1)


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A cache with one shard, and what its folder holds beside."""
    with RowCache(tmp_path).writer() as writer:
        writer.add(
            KEY, np.zeros((2, 16), np.uint8) + np.arange(2, dtype=np.uint8)[:, None], np.ones((2, 4), "f4")
        )
        writer.keep_shape(KEY, LayerShape((4,), "C"))
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
    assert not list(root.glob(f"rows/{KEY.hex}/shape.json"))


def test_a_shape_stays_as_long_as_its_rows_are_in_use(shared: tuple[Path, list[Path]]) -> None:
    root, _ = shared
    (use,) = [use for use in cache_usage(root) if use.shards]
    own = [path for path in (root / "rows" / KEY.hex).iterdir() if path.name != "notes.txt"]
    assert (len(own), use.size) == (2, sum(path.stat().st_size for path in own))
    removed = remove_unused(root, {KEY.hex})
    assert (removed.shards, removed.size) == (0, 0)
    assert RowCache(root).rows(KEY).shape == LayerShape((4,), "C")


def test_a_shape_without_rows_belongs_to_those_of_a_further_cache(tmp_path: Path) -> None:
    with RowCache(tmp_path).writer() as writer:
        writer.keep_shape(KEY, LayerShape((4,), "C"))
    assert cache_usage(tmp_path) == []
    remove_unused(tmp_path, {KEY.hex})
    assert RowCache(tmp_path).rows(KEY).shape
    assert remove_unused(tmp_path, ()).shards == 0
    assert not list((tmp_path / "rows").iterdir())

"""The stores of shards: a folder, fsspec's memory, S3 on this machine; each with the faults of a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pool5.files import remote
from pool5.store.shard_store import open_store
from tests.servers import Bucket, bucket, fresh, s3
from tests.store.shard_store_tests import RootTests, ShardStore, ShardStoreTests

__all__ = ["bucket", "fresh", "s3"]


class _Tests(ShardStoreTests, RootTests):
    @pytest.fixture
    def store(self, root: str) -> ShardStore:
        return open_store(root)


class TestFolder(_Tests):
    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        (tmp_path / "cache/writers/w").mkdir(parents=True)
        return str(tmp_path / "cache")


class TestMemory(_Tests):
    @pytest.fixture
    def root(self, tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        monkeypatch.setattr(remote, "_SCHEMES", remote._SCHEMES | {"memory"})
        yield f"memory://{tmp_path.name}/cache"
        fsspec.filesystem("memory").store.clear()


class TestS3(_Tests):
    @pytest.fixture
    def root(self, bucket: Bucket) -> str:
        return f"{bucket}/cache"

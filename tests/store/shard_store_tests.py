"""What any store of shards must do; a test of one inherits this and gives the store."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.store import writers as at_work
from pool5.store.cache_usage import cache_usage, remove_unused, shrink_to
from pool5.store.forget import forget_rows
from pool5.store.row_cache import RowCache
from pool5.store.row_shard import DamagedShard
from pool5.store.shard_store import Entry, Part, ShardStore
from pool5.store.verify import shards_of, verify_shard
from tests.store.filled_cache import KEY, OTHER, digests_of, rows_of


class Wrapped:
    """A store that does what another one does."""

    def __init__(self, store: ShardStore) -> None:
        self.store, self.has_locks, self.root = store, store.has_locks, store.root

    def __getattr__(self, name: str):
        return getattr(self.store, name)


class LosesAnswers(Wrapped):
    """Every second write is done and yet fails, and is tried again, as a client does."""

    count = itertools.count()

    def put(self, name: str, parts: Sequence[Part], by: str) -> None:
        if next(self.count) % 2:
            self.store.put(name, parts, by)
        self.store.put(name, parts, by)


class AnswersTwice(Wrapped):
    """Removes and moves come through twice."""

    def remove(self, name: str) -> None:
        self.store.remove(name)
        self.store.remove(name)


class ListsLate(Wrapped):
    """A file is not listed before the second time that its folder is asked for."""

    def __init__(self, store: ShardStore) -> None:
        super().__init__(store)
        self.shown: dict[str, set[str]] = {}

    def files(self, folder: str) -> dict[str, Entry]:
        found = self.store.files(folder)
        before = self.shown.get(folder, set())
        self.shown[folder] = set(found)
        return {name: entry for name, entry in found.items() if name in before or "rows" not in folder}


def as_it_is(store: ShardStore) -> ShardStore:
    return store


class ShardStoreTests:
    """Inherit this, and give a fixture `store` with an empty one."""

    def test_a_file_is_there_whole_and_its_parts_can_be_read(self, store: ShardStore) -> None:
        store.put("rows/a/x.rows", [b"0123", memoryview(b"456789")], "writers/w")
        assert store.read("rows/a/x.rows", 2, 4) == b"2345"
        assert store.read("rows/a/x.rows", 8, 99) == b"89"
        assert store.read("rows/a/x.rows", 10, 1) == b""
        assert store.files("rows/a")["x.rows"].size == store.stat("rows/a/x.rows").size == 10

    def test_folders_and_files_are_told_apart(self, store: ShardStore) -> None:
        for name in ("rows/a/x.rows", "rows/b/y.rows", "rows/b/z.rows"):
            store.put(name, [b"1"], "writers/w")
        assert store.folders("rows") == ["a", "b"]
        assert sorted(store.files("rows/b")) == ["y.rows", "z.rows"]
        assert (store.files("rows"), store.folders("none"), store.files("none")) == ({}, [], {})

    def test_a_file_that_is_not_there_is_said_so_and_removed_without_a_word(self, store: ShardStore) -> None:
        with pytest.raises(FileNotFoundError):
            store.read("rows/a/x.rows", 0, 1)
        with pytest.raises(FileNotFoundError):
            store.stat("rows/a/x.rows")
        store.remove("rows/a/x.rows")

    def test_a_file_may_be_moved_and_written_again(self, store: ShardStore) -> None:
        store.put("rows/a/x.rows", [b"1"], "writers/w")
        store.move("rows/a/x.rows", "rows/a/x.rows.damaged")
        store.put("rows/a/x.rows", [b"2"], "writers/w")
        store.put("rows/a/x.rows", [b"2"], "writers/w")
        assert store.read("rows/a/x.rows.damaged", 0, 9) == b"1"
        store.remove("rows/a/x.rows")
        assert list(store.files("rows/a")) == ["x.rows.damaged"]

    def test_what_writers_add_side_by_side_is_all_found(self, cache: RowCache) -> None:
        def add(numbers: range) -> None:
            with cache.writer() as writer:
                writer.add(KEY, digests_of(numbers), rows_of(numbers), "some device")

        threads = [threading.Thread(target=add, args=(range(n, n + 20),)) for n in range(0, 100, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stored = cache.rows(KEY, digests_of(range(10, 130)))
        stored.refresh()
        places = stored.find(digests_of(range(10, 130)))
        assert (places[:90] >= 0).all()
        assert (places[90:] == -1).all()
        np.testing.assert_array_equal(stored.gather(places[:90]), rows_of(range(10, 100)))
        assert stored.devices() == {"some device": 90}

    def test_two_writers_share_the_work(self, cache: RowCache) -> None:
        digests = digests_of(range(10))
        with cache.writer() as first, cache.writer() as second:
            claim, taken, _ = first.claim({"fc": first.rows(KEY)}, digests, 6)
            _, others, waiting = second.claim({"fc": second.rows(KEY)}, digests, 99)
            assert taken.tolist() == [0, 1, 2, 3, 4, 5]
            assert (others.tolist(), waiting) == ([6, 7, 8, 9], 6)
            assert "process" in second.who_is_at_work()
            first.release(claim)
            _, others, waiting = second.claim({"fc": second.rows(KEY)}, digests[:6], 99)
            assert (len(others), waiting) == (6, 0)

    def test_a_writer_that_gives_no_sign_of_life_holds_nobody_up(self, cache: RowCache) -> None:
        cache.store.put("writers/dead/claim-1", [KEY.hex.encode() + b"\n" + digests_of([1]).tobytes()], "")
        with cache.writer() as writer:
            for _ in range(100):
                _, taken, waiting = writer.claim({"fc": writer.rows(KEY)}, digests_of([1]), 9)
                if not waiting:
                    break
                threading.Event().wait(0.02)
            assert taken.tolist() == [0]

    def test_nothing_is_removed_under_a_running_extraction(self, cache: RowCache) -> None:
        at_work = pytest.raises(UserError, match="1 extraction at work on this cache")
        with cache.writer(), at_work, cache.exclusively():
            pass
        with cache.exclusively():
            pass

    def test_damaged_rows_are_noticed_as_they_are_read_and_set_aside(self, cache: RowCache) -> None:
        with cache.writer() as writer:
            writer.add(KEY, digests_of(range(5)), rows_of(range(5)))
            stored = writer.rows(KEY)
            stored.refresh()
            (shard,) = stored.shards
            data = shard.store.read(shard.name, 0, 1 << 20)
            shard.store.put(shard.name, [data[:-1] + bytes([data[-1] ^ 1])], writer._hold.folder)
            with pytest.raises(DamagedShard):
                stored.gather(stored.find(digests_of([4])))
            writer.set_aside(stored)
            assert (stored.find(digests_of(range(5))) == -1).all()
            writer.add(KEY, digests_of(range(5)), rows_of(range(5)))
            stored.refresh()
            stored.refresh()
            np.testing.assert_array_equal(stored.gather(stored.find(digests_of([4]))), rows_of([4]))

    @pytest.fixture(params=[as_it_is, LosesAnswers, AnswersTwice, ListsLate])
    def cache(
        self, store: ShardStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
    ) -> RowCache:
        (tmp_path / "cache/writers/w").mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(at_work, "_SIGN_SECONDS", 0.05)
        monkeypatch.setattr(at_work, "_DEAD_SECONDS", 0.6)
        cache = RowCache(tmp_path / "cache")
        cache.store = request.param(store)
        cache._stores = [cache.store]
        return cache


class RootTests:
    """Of a root that a user can name: inherit this, and give a fixture `root`."""

    def test_a_cache_is_counted_verified_made_smaller_and_emptied(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(at_work, "_SIGN_SECONDS", 0.05)
        with RowCache(root).writer() as writer:
            writer.add(KEY, digests_of(range(5)), rows_of(range(5)))
            writer.add(KEY, digests_of([5]), rows_of([5]))
            writer.add(OTHER, digests_of(range(30)), rows_of(range(30), "f2"))
        assert {use.key: (use.rows, use.shards) for use in cache_usage(root)} == {KEY: (6, 2), OTHER: (30, 1)}
        assert [problem for file in shards_of(root) for problem in verify_shard(file)] == []
        assert forget_rows(root, digests_of([2, 5])).rows == 4
        stored = RowCache(root).rows(KEY)
        assert (stored.find(digests_of(range(6)))[:, 0] >= 0).tolist() == [n not in (2, 5) for n in range(6)]
        assert remove_unused(root, {KEY.hex}).shards == 1
        assert [use.key for use in cache_usage(root)] == [KEY]
        assert shrink_to(root, 0).shards == 1
        assert cache_usage(root) == []

from __future__ import annotations

import dataclasses
import errno
import fcntl
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.store.cache_usage import cache_usage, remove_unused, shrink_to
from pool5.store.checksums import checksum
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_writer import FileHead
from pool5.store.layer_shape import LayerShape
from pool5.store.publish import publish
from pool5.store.row_cache import RowCache, is_in
from pool5.store.row_shard import DamagedShard
from pool5.store.shard_store import FolderStore
from pool5.store.verify import shapes_of, shards_of, verify_shape, verify_shard
from tests.store.filled_cache import (
    KEY,
    OTHER,
    digests_in,
    digests_of,
    fill,
    paths_of,
    put_shard,
    rows_of,
    shard_at,
)


@settings(max_examples=40, deadline=None)
@given(
    stored=st.lists(st.lists(st.integers(0, 600), unique=True, max_size=20), max_size=4),
    asked=st.lists(st.integers(0, 600), max_size=30),
)
def test_what_was_added_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, stored: list, asked: list
) -> None:
    root = tmp_path_factory.mktemp("cache")
    fill(root, *stored)
    rows = RowCache(root).rows(KEY)
    places = rows.find(digests_of(asked))
    there = np.array([any(n in part for part in stored) for n in asked], bool)
    np.testing.assert_array_equal(places[:, 0] >= 0, there)
    np.testing.assert_array_equal(
        rows.gather(places[there]), rows_of(np.array(asked)[there].tolist())[:, : rows.width or 0]
    )
    everything = [n for part in stored for n in part]
    np.testing.assert_array_equal(is_in(digests_of(asked), digests_of(everything)), there)


def test_the_width_of_a_cache_without_rows_is_unknown(tmp_path: Path) -> None:
    assert RowCache(tmp_path / "none").rows(KEY).width is None


def test_keys_do_not_see_each_other(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    assert (RowCache(tmp_path).rows(OTHER).find(digests_of(range(5))) == -1).all()


def test_digests_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    fill(tmp_path, range(200))
    rows = RowCache(tmp_path).rows(KEY)
    found = rows.find(digests_of([199, 0, 200, 57]))
    assert found[:, 1].tolist() == [199, 0, -1, 57]


def test_every_flipped_bit_of_a_shard_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    put_shard(path, KEY, range(3))
    sound = path.read_bytes()
    assert shard_at(path).is_intact()
    missed = []
    descriptor = os.open(path, os.O_WRONLY)
    for at in range(len(sound)):
        os.pwrite(descriptor, bytes([sound[at] ^ (1 << (at % 8))]), at)
        try:
            if shard_at(path).is_intact():
                missed.append(at)
        except DamagedShard:
            pass
        os.pwrite(descriptor, sound[at : at + 1], at)
    os.close(descriptor)
    assert missed == []


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4100, -1])
def test_a_shard_cut_short_is_caught(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.rows"
    put_shard(path, KEY, range(3))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedShard):
        shard_at(path)


def test_a_shard_in_the_folder_of_another_key_gives_no_rows(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    (path,) = paths_of(tmp_path)
    wrong = tmp_path / "rows" / OTHER.hex / path.name
    wrong.parent.mkdir()
    path.rename(wrong)
    assert RowCache(tmp_path).rows(OTHER).shards == []
    ((problem,),) = map(verify_shard, shards_of(tmp_path))
    assert "another feature key" in problem


def test_a_claimed_row_is_not_taken_twice_and_is_free_again_when_its_writer_ends(tmp_path: Path) -> None:
    cache, digests = RowCache(tmp_path), digests_of(range(10))
    with cache.writer() as first:
        with cache.writer() as second:
            _, taken, _ = first.claim({"fc": first.rows(KEY)}, digests, 6)
            _, others, waiting = second.claim({"fc": second.rows(KEY)}, digests, 99)
            assert taken.tolist() == [0, 1, 2, 3, 4, 5]
            assert (others.tolist(), waiting) == ([6, 7, 8, 9], 6)
            claim, none, waiting = first.claim({"fc": first.rows(KEY)}, digests[6:], 99)
            assert (claim, len(none), waiting) == (None, 0, 4)
        _, taken, _ = first.claim({"fc": first.rows(KEY)}, digests[6:], 99)
        assert len(taken) == 4


def test_what_a_dead_writer_left_is_swept(tmp_path: Path) -> None:
    dead = tmp_path / "writers" / "dead"
    dead.mkdir(parents=True)
    for name in ("lock", "claim-1", "shard.tmp"):
        (dead / name).write_bytes(b"x")
    with RowCache(tmp_path).writer():
        assert not dead.exists()


def test_usage_counts_rows_and_bytes_by_key(tmp_path: Path) -> None:
    fill(tmp_path, range(5), range(5, 9))
    fill(tmp_path, range(300), key=OTHER)
    first, second = sorted(cache_usage(tmp_path), key=lambda use: use.rows)
    assert (first.key, first.rows, first.shards) == (KEY, 9, 2)
    assert (second.key, second.rows, second.shards) == (OTHER, 300, 1)
    assert second.size == sum(path.stat().st_size for path in (tmp_path / "rows" / OTHER.hex).iterdir())


def test_what_nothing_refers_to_is_removed_and_counted(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    fill(tmp_path, range(300), key=OTHER)
    removed = remove_unused(tmp_path, {KEY.hex})
    assert removed.shards == 1
    assert [use.key for use in cache_usage(tmp_path)] == [KEY]


def test_the_least_lately_used_go_first(tmp_path: Path) -> None:
    fill(tmp_path, range(5), range(5, 10))
    old, new = sorted(paths_of(tmp_path), key=lambda path: digests_in(path)[0, 15])
    os.utime(old, (1, 1))
    assert shrink_to(tmp_path, old.stat().st_size + 1).shards == 1
    assert paths_of(tmp_path) == [new]


def test_nothing_is_removed_under_a_running_extraction(tmp_path: Path) -> None:
    with RowCache(tmp_path).writer(), pytest.raises(UserError, match="1 extraction at work on this cache"):
        remove_unused(tmp_path, set())


def test_without_locks_nobody_waits_for_claims_that_a_dead_writer_may_have_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    cache, digests = RowCache(tmp_path), digests_of(range(10))
    with cache.writer() as first, cache.writer() as second:
        for writer in (first, second):
            _, taken, waiting = writer.claim({"fc": writer.rows(KEY)}, digests, 99)
            assert (len(taken), waiting) == (10, 0)
        for writer in (first, second):
            writer.add(KEY, digests, rows_of(range(10)))
        with pytest.raises(UserError, match="if none is, remove"):
            remove_unused(tmp_path, set())
    assert RowCache(tmp_path).rows(KEY).find(digests)[:, 0].min() >= 0


def test_rows_of_a_further_cache_are_read_and_it_is_never_written_to(tmp_path: Path, caplog) -> None:
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    fill(theirs, range(5), range(5, 10))
    before = contents(theirs)
    digests = digests_of(range(12))
    with RowCache(own, [theirs]).writer() as writer:
        stored = writer.rows(KEY)
        _, taken, _ = writer.claim({"fc": stored}, digests, 99)
        assert taken.tolist() == [10, 11]
        writer.add(KEY, digests[taken], rows_of([10, 11]))
        stored.refresh()
        np.testing.assert_array_equal(stored.gather(stored.find(digests)), rows_of(range(12)))
        assert contents(theirs) == before
    (damaged,) = [path for path in paths_of(theirs) if digests_in(path)[0, 15] == 0]
    with damaged.open("r+b") as file:
        file.seek(shard_at(damaged).offset)
        file.write(b"\xff")
    before = contents(theirs)
    with RowCache(own, [theirs]).writer() as writer:
        stored = writer.rows(KEY)
        with pytest.raises(DamagedShard, match="its rows are damaged"):
            stored.gather(stored.find(digests[:5]))
        writer.set_aside(stored)
        _, taken, _ = writer.claim({"fc": stored}, digests, 99)
        assert taken.tolist() == [0, 1, 2, 3, 4]
    assert contents(theirs) == before
    assert "its rows are damaged; its rows are computed again" in caplog.text


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written_is_one_line_that_says_the_way_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"list it in extract\.read_also"), RowCache(tmp_path).writer():
        pass


@pytest.mark.parametrize("fields", [{}, {"key": 3}, {"length": "x"}, {"length": -1}, {"width": 1e99}])
def test_a_head_that_makes_no_sense_is_a_damaged_shard(tmp_path: Path, fields: dict, monkeypatch) -> None:
    real = json.dumps

    def other(content: dict, **how: bool) -> str:
        return real((content | fields if fields else {}) if "table_checksum" in content else content, **how)

    monkeypatch.setattr(json, "dumps", other)
    put_shard(tmp_path / "a.rows", KEY, range(3))
    monkeypatch.undo()
    with pytest.raises(DamagedShard):
        shard_at(tmp_path / "a.rows")


SHAPE = LayerShape((3,), "C", pooled_from=LayerShape((7, 3), "tokens,C", 2))


def keep(root: Path, shape: LayerShape = SHAPE, read_also: tuple[Path, ...] = ()) -> None:
    with RowCache(root, read_also).writer() as writer:
        writer.keep_shape(KEY, shape)


def test_the_shape_of_rows_is_kept_beside_them_and_under_no_other_key(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    assert RowCache(tmp_path).rows(KEY).shape is None
    keep(tmp_path)
    assert RowCache(tmp_path).rows(KEY).shape == SHAPE
    path = Path(str(*shapes_of(tmp_path)))
    assert verify_shape(*shapes_of(tmp_path)) == []
    wrong = tmp_path / "rows" / OTHER.hex / path.name
    wrong.parent.mkdir()
    path.rename(wrong)
    assert RowCache(tmp_path).rows(OTHER).shape is None


def test_every_flipped_bit_of_a_shape_makes_it_unknown_until_it_is_kept_again(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    keep(tmp_path)
    path = Path(str(*shapes_of(tmp_path)))
    sound, missed = path.read_bytes(), []
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ (1 << (at % 8))]) + sound[at + 1 :])
        if RowCache(tmp_path).rows(KEY).shape is not None:
            missed.append(at)
    assert missed == []
    ((problem,),) = map(verify_shape, shapes_of(tmp_path))
    assert "asks the network for it again" in problem
    keep(tmp_path)
    assert path.read_bytes() == sound


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"{}", b"\xff", b'{"shape": {"shape": [3]}}'])
def test_a_shape_that_nobody_wrote_in_good_faith_is_unknown(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path)
    path = Path(str(*shapes_of(tmp_path)))
    path.write_bytes(content)
    assert RowCache(tmp_path).rows(KEY).shape is None


def test_a_shape_of_another_width_than_the_rows_is_unknown(tmp_path: Path) -> None:
    keep(tmp_path, LayerShape((4,)))
    fill(tmp_path, range(5))
    assert RowCache(tmp_path).rows(KEY).shape is None


def test_the_shape_in_a_further_cache_is_read_and_not_kept_twice(tmp_path: Path) -> None:
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    fill(theirs, range(5))
    keep(theirs)
    before = contents(theirs)
    keep(own, read_also=(theirs,))
    assert RowCache(own, [theirs]).rows(KEY).shape == SHAPE
    assert (contents(theirs), shapes_of(own)) == (before, [])
    path = Path(str(*shapes_of(theirs)))
    path.write_bytes(b"damaged")
    keep(own, read_also=(theirs,))
    assert RowCache(own, [theirs]).rows(KEY).shape == SHAPE
    assert path.read_bytes() == b"damaged"


def test_a_shape_that_no_disk_takes_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fill(tmp_path, range(5))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as told:
        keep(tmp_path)
    assert told.value.filename
    assert shapes_of(tmp_path) == []


def test_what_is_published_has_the_shape_that_the_cache_keeps(tmp_path: Path) -> None:
    fill(tmp_path, range(4))
    names, labels = np.array([*"abcd"]), np.zeros((4, 0), np.int8)
    head = FileHead("d", "test", "m", (), names, digests_of(range(4)), labels)
    publish(tmp_path / "before.h5", head, {"fc": RowCache(tmp_path).rows(KEY)})
    assert FeatureFile.open(tmp_path / "before.h5").shape("fc") == LayerShape((3,))
    keep(tmp_path, LayerShape((3, 1, 1), "C,H,W"))
    publish(tmp_path / "after.h5", head, {"fc": RowCache(tmp_path).rows(KEY)})
    assert FeatureFile.open(tmp_path / "after.h5").shape("fc") == LayerShape((3, 1, 1), "C,H,W")


def test_rows_in_any_order_are_read_without_what_lies_between(tmp_path: Path, monkeypatch) -> None:
    wide = dataclasses.replace(KEY, node="wide")
    rows = np.random.default_rng(0).standard_normal((400, 4096)).astype(np.float32)
    with RowCache(tmp_path).writer() as writer:
        writer.add(wide, digests_of(range(400)), rows)
    stored = RowCache(tmp_path).rows(wide)
    places = stored.find(digests_of(range(400)))
    np.testing.assert_array_equal(stored.gather(places), rows)  # which checks every block
    read = []
    real = FolderStore.read
    monkeypatch.setattr(FolderStore, "read", lambda *asked: read.append(asked[-1]) or real(*asked))
    some = np.random.default_rng(1).permutation(400)[:20]
    np.testing.assert_array_equal(stored.gather(places[some]), rows[some])
    assert sum(read) < 2 * 20 * 4 * 4096


def test_rows_of_another_kind_that_are_not_taken_do_not_count(tmp_path: Path) -> None:
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    for root, numbers, kind in ((own, range(10), "cpu"), (theirs, range(3), "a card")):
        with RowCache(root).writer() as writer:
            writer.add(KEY, digests_of(numbers), rows_of(numbers), kind)
    stored = RowCache(own, [theirs]).rows(KEY, digests_of(range(10)))
    assert stored.devices() == {"cpu": 10, "a card": 3}
    assert stored.kinds() == {"cpu"}
    assert RowCache(own, [theirs]).rows(KEY, digests_of([])).kinds() == set()


def test_a_shard_of_version_1_is_read(tmp_path: Path) -> None:
    digests, rows = digests_of([3, 1, 2]), rows_of([3, 1, 2])
    fields = {
        "digests_checksum": checksum(digests.tobytes()).hex(),
        "key": json.loads(KEY.json()),
        "length": 3,
        "rows_sha256": hashlib.sha256(rows.tobytes()).hexdigest(),
        "width": 3,
    }
    body = f"pool5-rows 1 4096\n{json.dumps(fields, sort_keys=True)}\n".encode().ljust(4064, b"\0")
    folder = tmp_path / "rows" / KEY.hex
    folder.mkdir(parents=True)
    data = body + hashlib.sha256(body).digest() + digests.tobytes() + rows.tobytes()
    (folder / f"{'0' * 16}.rows").write_bytes(data)
    stored = RowCache(tmp_path).rows(KEY)
    np.testing.assert_array_equal(stored.gather(stored.find(digests_of([1, 2, 3]))), rows_of([1, 2, 3]))
    assert (stored.kinds(), stored.find(digests_of([4])).tolist()) == (set(), [[-1, -1]])
    (folder / f"{'0' * 16}.rows").write_bytes(data[:-1] + b"?")
    stored = RowCache(tmp_path).rows(KEY)
    with pytest.raises(DamagedShard):
        stored.gather(stored.find(digests))

"""Rows that are taken out of a row cache: they alone, wherever they are, and at no kill any other."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.store import forget, shard_store, writers
from pool5.store.forget import forget_rows
from pool5.store.row_cache import RowCache
from tests.store.filled_cache import KEY, OTHER, digests_in, digests_of, fill, paths_of, rows_of

NUMBERS = st.lists(st.integers(0, 40), unique=True, max_size=8)


def content(root: Path, key=KEY) -> dict[bytes, bytes]:
    """{digest: row} of all that the cache has under a key."""
    stored = RowCache(root).rows(key)
    assert not stored.take_damaged()
    assert all(shard.is_intact() for shard in stored.shards)
    return {
        digest.tobytes(): row.tobytes()
        for shard in stored.shards
        for digest, row in zip(digests_in(Path(shard.where)), shard.take(np.arange(len(shard))), strict=True)
    }


def bytes_under(root: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


@settings(max_examples=40, deadline=None)
@given(stored=st.lists(NUMBERS, max_size=4), doomed=NUMBERS)
def test_the_named_rows_are_gone_and_all_others_are_there(
    tmp_path_factory: pytest.TempPathFactory, stored: list, doomed: list
) -> None:
    root = tmp_path_factory.mktemp("cache")
    fill(root, *stored)
    fill(root, *stored[:1], key=OTHER)
    before, other = content(root), content(root, OTHER)
    dry = forget_rows(root, digests_of(doomed), dry_run=True)
    assert (content(root), content(root, OTHER)) == (before, other)
    forgotten = forget_rows(root, digests_of(doomed))
    assert dry == forgotten
    gone = {digest.tobytes() for digest in digests_of(doomed)}
    assert content(root) == {digest: row for digest, row in before.items() if digest not in gone}
    assert content(root, OTHER) == {digest: row for digest, row in other.items() if digest not in gone}
    of_first = sum(n in doomed for n in stored[0]) if stored else 0
    shards = set(map(tuple, stored))  # two of the same content are one
    assert forgotten.rows == sum(n in doomed for part in shards for n in part) + of_first
    assert forgotten.size == 12 * (forgotten.rows - of_first) + 6 * of_first


def test_no_byte_of_a_row_or_its_digest_is_left(tmp_path: Path) -> None:
    fill(tmp_path, range(5), [5])
    row, digest = rows_of([3]).tobytes(), digests_of([3]).tobytes()
    assert row in bytes_under(tmp_path)
    forget_rows(tmp_path, digests_of([3, 5]))
    assert row not in bytes_under(tmp_path)
    assert digest not in bytes_under(tmp_path)
    assert len(list(tmp_path.rglob("*.rows"))) == 1
    assert [path.name for path in (tmp_path / "writers").iterdir()] == [".lock"]


def test_a_damaged_shard_is_removed_whole_as_nobody_knows_what_it_holds(tmp_path: Path) -> None:
    fill(tmp_path, range(4), range(4, 8), range(8, 12))
    one, two, three = paths_of(tmp_path)
    one.write_bytes(one.read_bytes()[:-1])  # the head tells it
    two.write_bytes(two.read_bytes()[:-1])
    two.rename(two.with_name(two.name + ".damaged"))  # set aside by a run
    doomed = digests_in(three)[:1]
    three.write_bytes(three.read_bytes()[:-1] + b"?")  # the rows tell it
    assert forget_rows(tmp_path, doomed).damaged == 3
    assert content(tmp_path) == {}


def test_a_shard_without_such_a_row_is_not_touched(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    (path,) = paths_of(tmp_path)
    before = path.stat()
    assert forget_rows(tmp_path, digests_of([9])).rows == 0
    assert path.stat() == before


def test_how_lately_the_other_rows_were_used_stays_known(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    (path,) = paths_of(tmp_path)
    os.utime(path, (10**9, 10**9))
    forget_rows(tmp_path, digests_of([1]))
    (path,) = paths_of(tmp_path)
    assert path.stat().st_mtime == 10**9


def test_nothing_is_forgotten_while_an_extraction_is_at_work(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    with RowCache(tmp_path).writer(), pytest.raises(UserError, match="1 extraction at work"):
        forget_rows(tmp_path, digests_of([1]))
    assert len(content(tmp_path)) == 3


def test_no_cache_is_an_empty_one_and_stays_none(tmp_path: Path) -> None:
    assert forget_rows(tmp_path / "none", digests_of([1])).rows == 0
    assert not (tmp_path / "none").exists()


def _killed(root: Path, steps: int) -> None:
    """Forget, and die at the n-th step that changes a file."""
    left = [steps]

    def dying(step):
        def take(*arguments, **named):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return step(*arguments, **named)

        return take

    for owner, name in (
        (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (os, "fsync"), (os, "utime"),
        (forget, "encode_shard"), (shard_store, "sync_directory"), (writers.shutil, "rmtree"),
    ):  # fmt: skip
        setattr(owner, name, dying(getattr(owner, name)))
    forget_rows(root, digests_of([1, 5]))
    os._exit(0)


def test_a_kill_at_any_step_loses_no_other_row_and_the_next_call_does_the_rest(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for steps in range(100):
        root = tmp_path / str(steps)
        fill(root, range(4), range(4, 8))
        before = content(root)
        gone = {digest.tobytes() for digest in digests_of([1, 5])}
        rest = {digest: row for digest, row in before.items() if digest not in gone}
        child = fork.Process(target=_killed, args=(root, steps))
        child.start()
        child.join()
        assert content(root).items() >= rest.items()
        forget_rows(root, digests_of([1, 5]))
        assert content(root) == rest
        with RowCache(root).writer():  # sweeps
            pass
        assert rows_of([5]).tobytes() not in bytes_under(root)
        assert [path.name for path in (root / "writers").iterdir()] == [".lock"]
        if child.exitcode == 0:
            break
    assert child.exitcode == 0
    assert steps > 10

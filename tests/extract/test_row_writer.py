"""Rows are stored by a thread: what computes goes on meanwhile, and an error comes to who asks."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import numpy as np
import pytest
from small_jobs import PixelNetwork, key_of, manifest_of, rows_in, run, write_images

from pool5.extract import extractor
from pool5.extract.row_writer import RowWriter
from pool5.params import Layer
from pool5.store.row_cache import CacheWriter, RowCache

LAYER = Layer(node="late")
KEY = key_of("late")
DIGESTS = np.random.default_rng(0).integers(0, 256, (30, 16), dtype=np.uint8)


class SlowDisk:
    """A cache's writer whose rows are not stored before they may be."""

    def __init__(self, writer: CacheWriter) -> None:
        self._writer = writer
        self.asked, self.may = threading.Event(), threading.Event()

    def add(self, *arguments: object) -> None:
        self.asked.set()
        assert self.may.wait(60)
        self._writer.add(*arguments)


def some(first: int, count: int) -> tuple[np.ndarray, dict[Layer, np.ndarray]]:
    numbers = np.arange(first, first + count)
    return numbers, {LAYER: np.repeat(numbers[:, None], 5, axis=1).astype(np.float32)}


def test_rows_are_gathered_while_others_are_stored(tmp_path: Path) -> None:
    with RowCache(tmp_path).writer() as writer:
        disk, stored = SlowDisk(writer), {LAYER: writer.rows(KEY, DIGESTS)}
        rows = RowWriter(disk, {LAYER: KEY}, stored, DIGESTS)
        rows.gather(*some(0, 10))
        assert rows.held == 10 * 5 * 4
        rows.begin("a device")
        assert disk.asked.wait(60)
        rows.gather(*some(10, 5))
        assert rows.held == 5 * 5 * 4, "what is being stored is no longer gathered"
        assert not len(rows.stored(wait=False))
        assert (stored[LAYER].find(DIGESTS) < 0).all()
        disk.may.set()
        np.testing.assert_array_equal(rows.stored(wait=True), np.arange(10))
        rows.begin("a device")
        np.testing.assert_array_equal(rows.stored(wait=True), np.arange(10, 15))
        rows.begin("a device")
        assert not len(rows.stored(wait=True)), "nothing was gathered"
        places = stored[LAYER].find(DIGESTS)
        assert (places[:, 0] >= 0).tolist() == [True] * 15 + [False] * 15
        np.testing.assert_array_equal(stored[LAYER].gather(places[:15])[:, 0], np.arange(15))
        assert stored[LAYER].devices() == {"a device": 15}


def test_rows_that_were_there_are_not_stored_again(tmp_path: Path) -> None:
    with RowCache(tmp_path).writer() as writer:
        writer.add(KEY, DIGESTS[:4], some(0, 4)[1][LAYER])
        rows = RowWriter(writer, {LAYER: KEY}, {LAYER: writer.rows(KEY, DIGESTS)}, DIGESTS)
        rows.gather(*some(0, 10))
        rows.begin("")
        rows.stored(wait=True)
        assert sorted(len(shard) for shard in RowCache(tmp_path).rows(KEY).shards) == [4, 6]


def test_an_error_of_the_disk_comes_to_who_asks(tmp_path: Path) -> None:
    class FullDisk:
        def add(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with RowCache(tmp_path).writer() as writer:
        rows = RowWriter(FullDisk(), {LAYER: KEY}, {LAYER: writer.rows(KEY, DIGESTS)}, DIGESTS)
        rows.gather(*some(0, 3))
        rows.begin("")
        with pytest.raises(OSError, match="No space left"):
            rows.stored(wait=True)
        assert not len(rows.stored(wait=True)), "it is told once"


def test_claims_are_given_up_when_their_rows_are_stored_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another run would compute what is on its way to the disk."""
    write_images(tmp_path / "images", 64)
    monkeypatch.setattr(extractor, "FLUSH_BYTES", 1)
    add, release = CacheWriter.add, CacheWriter.release
    began: list[bytes] = []
    done: list[bytes] = []

    def watched(self: CacheWriter, key, digests: np.ndarray, rows: np.ndarray, device: str = "") -> None:
        began.extend(digest.tobytes() for digest in digests)
        add(self, key, digests, rows, device)
        done.extend(digest.tobytes() for digest in digests)

    def seen(self: CacheWriter, claim: str) -> None:
        claimed = Path(self._cache.store.where(claim)).read_bytes().partition(b"\n")[2]
        assert {claimed[at : at + 16] for at in range(0, len(claimed), 16)} <= set(done)
        release(self, claim)

    monkeypatch.setattr(CacheWriter, "add", watched)
    monkeypatch.setattr(CacheWriter, "release", seen)
    manifest = manifest_of(tmp_path / "images")
    outcome, _ = run(tmp_path, manifest, network=PixelNetwork({"late": 7}), nodes={"late": 7})
    assert outcome.computed == len(done) == rows_in(tmp_path) == 64

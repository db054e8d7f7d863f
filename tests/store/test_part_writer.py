"""Writing in parts: whole or not at all, whenever it ends, and with nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_writer import FileHead, LayerSource, stream_feature_file
from pool5.store.publish import publish, publishing_to
from pool5.store.row_cache import RowCache
from pool5.store.row_shard import DamagedShard
from pool5.store.verify import verify_feature_file
from tests.store.parted_file import WIDTH, long_content, parts_beside, parts_of, write_parted
from tests.store.small_file import content, write_small

ROOT = Path(__file__).parents[2]


def everything_in(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def stream(path: Path, rows: Callable[[int, int], np.ndarray], count: int = 50) -> None:
    given = long_content(count)
    fields = ("dataset", "split", "model", "classes", "ids", "digests", "labels")
    with parts_of():
        head = FileHead(*(given[name] for name in fields))
        stream_feature_file(path, head, {"wide": LayerSource(given["keys"]["wide"], WIDTH, rows)})


def test_what_is_published_anew_leaves_no_part_of_the_old(tmp_path: Path) -> None:
    path = write_parted(tmp_path / "test.h5")
    old = FeatureFile.open(path)
    write_parted(path, **long_content(70, seed=1))
    assert verify_feature_file(path) == []
    assert len(parts_beside(path)) == 2 * 5
    np.testing.assert_array_equal(FeatureFile.open(path).layer("wide"), long_content(70, 1)["layers"]["wide"])
    np.testing.assert_array_equal(old.layer("wide"), long_content()["layers"]["wide"])  # who has it open


def test_a_part_whose_rows_are_the_same_keeps_its_bytes_and_name(tmp_path: Path) -> None:
    given = long_content(70)
    path = write_parted(tmp_path / "test.h5", **given)
    before = everything_in(tmp_path)
    given["layers"]["wide"][69] += 1
    write_parted(path, **given)
    assert len(before.items() - everything_in(tmp_path).items()) == 2  # the last part, and the file


@pytest.mark.parametrize("given", [content(), long_content(16)], ids=["no such layer", "fewer rows"])
def test_shrunk_to_one_file_it_has_no_parts_any_more(tmp_path: Path, given: dict) -> None:
    path = write_parted(tmp_path / "test.h5")
    write_parted(path, **given)
    assert [each.name for each in tmp_path.iterdir()] == ["test.h5"]
    assert path.read_bytes() == write_small(tmp_path / "same.h5", **given).read_bytes()


def test_what_is_no_part_is_left_where_it_is(tmp_path: Path) -> None:
    path = write_parted(tmp_path / "test.h5")
    note = path.with_suffix(".parts") / "note.txt"
    note.touch()
    write_small(path)
    assert list(note.parent.iterdir()) == [note]


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("error", [UserError("gone"), OSError(28, "full"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_rows_leaves_what_was_there(tmp_path: Path, error: BaseException, old: bool) -> None:
    path = tmp_path / "m/test.h5"
    if old:
        write_parted(path)
    before = everything_in(tmp_path)
    asked = []

    def rows(start: int, stop: int) -> np.ndarray:
        asked.append(start)
        if start >= 16:
            raise error
        return np.zeros((stop - start, WIDTH), "f4")

    with pytest.raises(type(error)) as told:
        stream(path, rows)
    assert told.value is error
    assert everything_in(tmp_path) == before
    assert not list(tmp_path.rglob("*.unfinished"))
    assert len(asked) <= 4


def test_the_first_error_ends_the_other_parts_at_work(tmp_path: Path) -> None:
    failed, asked = threading.Event(), []

    def rows(start: int, stop: int) -> np.ndarray:
        asked.append(start)
        if start == 1024:
            failed.set()
            raise UserError("gone")
        failed.wait(10)
        time.sleep(0.5)
        return np.zeros((stop - start, WIDTH), "f4")

    given = long_content(16) | content(2048)
    fields = ("dataset", "split", "model", "classes", "ids", "digests", "labels")
    head = FileHead(*(given[name] for name in fields))
    sources = {"wide": LayerSource(long_content(1)["keys"]["wide"], WIDTH, rows)}
    with parts_of(64 << 20), pytest.raises(UserError):
        stream_feature_file(tmp_path / "test.h5", head, sources)
    assert len(asked) < 5, "the other stops at its next piece"
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    path = write_parted(folder / "test.h5")
    unfinished = folder / ".test.parts.a1b2c3.unfinished"
    unfinished.mkdir()
    (unfinished / "wide.0").write_bytes(b"half a part")
    (folder / ".test.h5.a1b2c3.unfinished").touch()
    (path.with_suffix(".parts") / f"wide.0000.{'0' * 32}.part").touch()  # renamed, when the kill came
    assert verify_feature_file(path) == []
    with publishing_to(folder, tmp_path / "locks"):
        assert not list(folder.glob(".*"))
        write_parted(path)
    assert len(parts_beside(path)) == 2 * 4
    assert verify_feature_file(path) == []


def test_a_damaged_shard_is_told_as_such_whichever_thread_finds_it(tmp_path: Path) -> None:
    given = long_content()
    key, rows = given["keys"]["wide"], given["layers"]["wide"]
    with RowCache(tmp_path / "cache").writer() as writer:
        writer.add(key, given["digests"], rows)
    (shard,) = (tmp_path / "cache").rglob("*.rows")
    with shard.open("r+b") as file:
        file.seek(-rows.nbytes, os.SEEK_END)
        file.write(bytes(rows.nbytes))
    fields = ("dataset", "split", "model", "classes", "ids", "digests", "labels")
    head = FileHead(*(given[name] for name in fields))
    with parts_of(), pytest.raises(DamagedShard):
        publish(tmp_path / "m/test.h5", head, {"wide": RowCache(tmp_path / "cache").rows(key)})
    assert not list((tmp_path / "m").iterdir())


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """What is anonymous, so of the process and not of the files that it maps: three parts of 64 MiB."""
    code = f"""
import re, resource, threading, time
from pathlib import Path
import numpy as np
from tests.store import test_part_writer as t
from tests.store.parted_file import parts_of
from pool5.store.feature_file import FeatureFile
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
peaks = [0]
def rows(start, stop):
    peaks.append(anonymous())
    return np.zeros((stop - start, t.WIDTH), "f4")
given = t.content(3072)
fields = ("dataset", "split", "model", "classes", "ids", "digests", "labels")
head = t.FileHead(*(given[name] for name in fields))
layers = {{"wide": t.LayerSource(t.long_content(1)["keys"]["wide"], t.WIDTH, rows)}}
before = anonymous()
with parts_of(64 << 20):
    t.stream_feature_file(Path({str(tmp_path / "test.h5")!r}), head, layers)
print(max(peaks) - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ
    )
    assert int(done.stdout) < 150_000, "two parts at work, each with four pieces of 16 MiB"


def parted_job(what: str, folder: Path, number: int) -> dict:
    command = [sys.executable, "-m", "tests.store.parted_job", what, str(folder), str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_killed_at_any_moment_the_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    report = parted_job("kill", tmp_path, 12)
    assert not report["bad"], "\n".join(report["bad"])
    assert report["old"] >= 3, "the kills all came too late to mean anything"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux", reason="traces x86-64 Linux calls"
)
@pytest.mark.parametrize("fault", [0, errno.ENOSPC, errno.EIO], ids=["kill", "disk full", "disk broken"])
def test_a_fault_at_any_system_call_leaves_the_old_file_or_the_new_one(tmp_path: Path, fault: int) -> None:
    report = parted_job("fault", tmp_path, fault)
    assert not report["bad"], "\n".join(report["bad"])
    assert {"openat", "pwrite64", "fsync", "fallocate", "unlink"} <= set(report["calls"])
    assert report["calls"].count("rename") == 3

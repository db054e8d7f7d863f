from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pool5.files import atomic
from pool5.files.atomic import sweep_unfinished, write_text


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_whole_with_its_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "whole\n")
    assert path.read_text() == "whole\n"
    assert names_in(path.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half" * 9999 + "\ud800")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_the_new_file_has_the_mode_that_the_umask_gives(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_file_linked_from_a_cache_is_replaced_not_edited(tmp_path):
    cached, path = tmp_path / "cached", tmp_path / "a.txt"
    cached.write_text("cached")
    path.hardlink_to(cached)
    write_text(path, "new")
    assert cached.read_text() == "cached"


FULL = """
import resource, sys
import faiss, numpy, torch
from safetensors.torch import save_file
from pool5.telling import told_in_one_line
from pool5.files.atomic import atomic_write
zeros = numpy.zeros((3000, 32), numpy.float32)
index = faiss.IndexFlatL2(32)
index.add(zeros)
writers = {
    "torch": lambda path: torch.save(torch.from_numpy(zeros), path),
    "faiss": lambda path: faiss.write_index(index, str(path)),
    "safetensors": lambda path: save_file({"a": torch.from_numpy(zeros)}, path),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # as a disk that is full
for name, write in writers.items():
    try:
        with told_in_one_line(), atomic_write(name) as temporary:
            write(temporary)
    except SystemExit as stop:
        print(name, stop.code)
"""


def test_a_disk_that_takes_no_more_is_one_line_whichever_library_writes(tmp_path):
    for name in ("torch", "faiss", "safetensors"):
        (tmp_path / name).write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["torch 2", "faiss 2", "safetensors 2"]
    lines = [line for line in done.stderr.splitlines() if line.startswith("pool5: ")]
    assert [line.split(":")[1].strip() for line in lines] == ["torch", "faiss", "safetensors"]
    assert "Traceback" not in done.stderr
    assert sorted(names_in(tmp_path)) == ["faiss", "safetensors", "torch"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}


KILLED = """
import os, signal
from pool5.files.atomic import atomic_write
with atomic_write("a.txt") as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_left_is_swept_when_nobody_writes_in_the_folder(tmp_path):
    other = tmp_path / ".part.unfinished"  # of one that has a lock of its own
    other.mkdir()
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    assert writer.stdin
    unfinished = writer.stdout.readline().strip()
    write_text(tmp_path / "b.txt", "whole")
    sweep_unfinished(tmp_path)
    assert unfinished in names_in(tmp_path), "its writer is alive"
    writer.communicate("\n")
    assert writer.returncode == -signal.SIGKILL
    assert unfinished in names_in(tmp_path)
    write_text(tmp_path / "b.txt", "whole")
    assert sorted(names_in(tmp_path)) == [".part.unfinished", "b.txt"]


def test_without_locks_nothing_is_swept(tmp_path, monkeypatch):
    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    left = f".b.txt.abcdefgh{atomic._OURS}"
    (tmp_path / left).touch()
    write_text(tmp_path / "a.txt", "whole")
    assert sorted(names_in(tmp_path)) == [left, "a.txt"]


def test_what_another_machine_left_is_swept_after_a_day_and_what_is_a_users_never(tmp_path):
    """On a network the lock that tells whether somebody writes may not hold between machines."""
    new, old = (
        tmp_path / ".a.txt.abcdefgh.01234567.unfinished",
        tmp_path / ".b.txt.abcdefgh.01234567.unfinished",
    )
    users = tmp_path / ".notes.unfinished"
    for path in (new, old, users):
        path.touch()
    for path in (old, users):
        os.utime(path, (0, 0))
    sweep_unfinished(tmp_path)
    assert sorted(names_in(tmp_path)) == sorted([new.name, users.name])


def test_a_folder_that_another_program_keeps_locked_is_written_in_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_SWEEP_SECONDS", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        write_text(tmp_path / "a.txt", "whole")
    finally:
        os.close(descriptor)
    assert names_in(tmp_path) == ["a.txt"]

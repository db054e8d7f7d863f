"""What Linux gives a process, and what stands in for it elsewhere."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

import pool5
from pool5.machine import cores, shared_memory, take_space

ONLY_LINUX = ("sched_getaffinity", "memfd_create", "posix_fallocate")


@pytest.fixture(params=["here", "on macOS"])
def _system(request, monkeypatch):
    if request.param == "on macOS":
        for name in ONLY_LINUX:
            monkeypatch.delattr(os, name)


@pytest.mark.usefixtures("_system")
def test_every_system_has_cores_shared_memory_and_space(tmp_path):
    assert 1 <= cores() <= os.cpu_count()
    memory = shared_memory(4096)
    mmap.mmap(memory, 4096)[:3] = b"abc"
    if os.fork() == 0:
        os._exit(mmap.mmap(memory, 4096)[:3] != b"abc")
    assert os.wait()[1] == 0
    os.close(memory)
    with (tmp_path / "file").open("wb") as file:
        file.write(b"12345")
        take_space(file.fileno(), 5)


def test_no_more_cores_than_this_process_may_use():
    assert cores() == len(os.sched_getaffinity(0))


def test_what_only_linux_has_is_asked_for_in_one_place():
    calls = re.compile(rf"os\.({'|'.join(ONLY_LINUX)})\(")
    files = Path(pool5.machine.__file__).parent.rglob("*.py")
    assert {path.name for path in files if calls.search(path.read_text())} == {"machine.py"}

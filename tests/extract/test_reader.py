from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import small_jobs
from small_jobs import PREPROCESS, write_images

from pool5.errors import UserError
from pool5.extract.decoding import ImageTask
from pool5.extract.reader import MachineShare, read_batches
from pool5.images.image_file import read_image
from pool5.images.transform import resize_and_crop
from pool5.machine import shared_memory


def tasks_of(folder: Path) -> list[ImageTask]:
    paths = sorted(folder.iterdir())
    return [
        ImageTask(number, str(path), hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
        for number, path in enumerate(paths)
    ]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", 37)
    return tmp_path / "images"


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_image_comes_once_in_batches_of_the_full_size(images: Path, workers: int) -> None:
    tasks = tasks_of(images)
    seen = {}
    for batch in read_batches(tasks, batch_size=8, preprocess=PREPROCESS, workers=workers):
        assert batch.images.shape == (8, 16, 16, 3)
        for place, number in zip(batch.places, batch.numbers, strict=True):
            seen[int(number)] = batch.images[place].copy()
    assert sorted(seen) == list(range(37))
    for number in (0, 20, 36):
        expected = resize_and_crop(read_image(tasks[number].path), PREPROCESS)
        np.testing.assert_array_equal(seen[number], expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_leaves_the_others_of_its_batch(images: Path, workers: int) -> None:
    (images / "000005.png").write_bytes(b"nothing")
    batches = list(read_batches(tasks_of(images), batch_size=8, preprocess=PREPROCESS, workers=workers))
    (failure,) = [failure for batch in batches for failure in batch.failures]
    assert (failure.number, failure.changed) == (5, False)
    assert sorted(n for batch in batches for n in batch.numbers.tolist()) == [n for n in range(37) if n != 5]


def test_no_more_is_read_ahead_than_the_workers_hold(images: Path) -> None:
    drawn = 0

    def counting():
        nonlocal drawn
        for task in tasks_of(images) * 20:
            drawn += 1
            yield task

    batches = read_batches(counting(), batch_size=4, preprocess=PREPROCESS, workers=2)
    next(batches)
    assert drawn <= 4 * (2 * 2 + 1 + 1)
    batches.close()


def test_a_worker_that_dies_is_told_with_the_file_it_was_at(images: Path) -> None:
    others = set(_children())  # of earlier tests: multiprocessing keeps helpers of its own
    batches = read_batches(tasks_of(images) * 50, batch_size=4, preprocess=PREPROCESS, workers=1)
    next(batches)
    (worker,) = set(_children()) - others
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(UserError, match=r"\.png: a decoding process died with code -9 at this image"):
        for _ in batches:
            pass


def test_images_that_take_turns_come_out_the_same(images: Path) -> None:
    """Each needs more than a worker's share of this memory."""
    tasks = tasks_of(images)
    seen = 0
    for batch in read_batches(tasks, batch_size=8, preprocess=PREPROCESS, workers=2, memory_gb=2e-5):
        for place, number in zip(batch.places, batch.numbers, strict=True):
            expected = resize_and_crop(read_image(tasks[number].path), PREPROCESS)
            np.testing.assert_array_equal(batch.images[place], expected)
            seen += 1
    assert seen == 37


def test_processes_that_share_a_machine_take_turns_with_each_other(images: Path) -> None:
    tasks, turn, came = tasks_of(images), shared_memory(1), threading.Event()

    def read() -> None:
        share = MachineShare(2, turn)
        for batch in read_batches(
            tasks, batch_size=8, preprocess=PREPROCESS, workers=2, memory_gb=2e-5, share=share
        ):
            if len(batch.numbers):
                came.set()

    fcntl.lockf(turn, fcntl.LOCK_EX)  # as a process beside would, at an image of its own
    reading = threading.Thread(target=read)
    reading.start()
    assert not came.wait(3), "these images take more than a share"
    fcntl.lockf(turn, fcntl.LOCK_UN)
    reading.join()
    assert came.is_set()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(images: Path, sign: signal.Signals) -> None:
    code = (
        "import sys; from test_reader import *; from test_reader import _children\n"
        f"tasks = tasks_of(Path({str(images)!r})) * 99\n"
        "batches = read_batches(tasks, batch_size=4, preprocess=PREPROCESS, workers=2)\n"
        "next(batches); print(*_children(), flush=True); sys.stdin.read()"
    )
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), str(Path(small_jobs.__file__).parent)])
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.send_signal(sign)
    parent.communicate()
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(pid) for pid in workers)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"

"""Several devices, a process each: the bytes of one, whoever is slow, dies or is interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from device_networks import LAYERS, TWO, Devices, not_there
from small_jobs import PREPROCESS, key_of, manifest_of, rows_in, run, write_images

from pool5.errors import UserError
from pool5.extract import device_processes
from pool5.extract.device_processes import devices_of
from pool5.extract.device_worker import Parent, ParentGoneError
from pool5.extract.extract_layers import extract_layers
from pool5.extract.job import Job
from pool5.extract.reader import MachineShare
from pool5.extract.shares import Share
from pool5.extract.work import Outcome, reading_of
from pool5.images.budget import UnreadableImage
from pool5.machine import cores
from pool5.params import Extract
from pool5.project import Project
from pool5.results.extraction import ExtractionResult
from pool5.results.record import load_record
from pool5.store.extraction_cost import known_cost
from pool5.store.row_cache import RowCache

HERE = Path(__file__).parent
IMAGES = 480


@pytest.fixture(autouse=True)
def found_by_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", IMAGES)
    (tmp_path / "seen").mkdir()
    return tmp_path


def through(devices: Devices, **extract: object) -> tuple[Outcome, Path]:
    """Extract the images beside the folder of `devices`."""
    base = devices.folder.parent
    job = Job(
        "pixels",
        {layer: key_of(layer) for layer in LAYERS},
        [manifest_of(base / "images")],
        str(base / "images"),
        "small",
    )
    settings = {"device": TWO, "batch_size": 16, "workers": 0, "cache": str(base / "cache"), **extract}
    _, outcome = extract_layers(job, Extract(**settings), PREPROCESS, devices, Project(base))
    return outcome, Project(base).features("pixels", "test")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def expected(base: Path) -> str:
    """What one device makes of the same images."""
    _, file = run(base, manifest_of(base / "images"), cache=base / "one", out="one")
    return md5(file)


def children() -> list[str]:
    """The command lines of this process's children."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [line for pid in pids if "_worker" in (line := command_of(pid))]


def command_of(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def in_session(leader: int) -> list[str]:
    """The command lines of all processes of a session, whoever their parent is now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(command_of(stat.parent.name))
    return found


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


def nothing_is_left(base: Path) -> bool:
    writers = [path for path in (base / "cache/writers").iterdir() if path.is_dir()]
    return not children() and not writers and not list(base.rglob("*.unfinished"))


@pytest.mark.parametrize("workers", [0, 2])
def test_two_devices_give_the_bytes_of_one(base, caplog, workers):
    caplog.set_level("INFO")
    devices = Devices(base / "seen")
    outcome, file = through(devices, workers=workers)
    assert md5(file) == expected(base)
    assert (outcome.computed, outcome.devices, outcome.workers) == (IMAGES, 2, 1)
    assert devices.seen.keys() == set(TWO)
    assert sum(devices.seen.values()) >= IMAGES, "padded batches are whole"
    assert "; 2 × a card: read " in caplog.text
    assert nothing_is_left(base)
    again, _ = through(devices, workers=workers)
    assert again.computed == 0


def test_the_slower_device_gets_fewer_images(base):
    devices = Devices(base / "seen", pace={"cuda:0": 0.01, "cuda:1": 0.3})
    _, file = through(devices)
    assert devices.seen["cuda:1"] * 2 < devices.seen["cuda:0"]
    assert md5(file) == expected(base)


def test_progress_is_of_all_devices_together(base, monkeypatch):
    bars = []

    class Bar(contextlib.nullcontext):
        def __init__(self, **options):
            super().__init__(self)
            self.options, self.shown = options, 0
            bars.append(self)

        def update(self, images):
            self.shown += images

    monkeypatch.setattr(device_processes, "progress", Bar)
    through(Devices(base / "seen", dies={"cuda:1": 2}))
    (bar,) = bars
    assert bar.options == {"total": IMAGES, "desc": "pixels", "unit": "image"}
    assert bar.shown == IMAGES, "what the dead one had not stored is counted once"


def test_what_it_took_is_told_as_of_one_machine(base):
    through(Devices(base / "seen"), workers=3)
    cost = known_cost([key_of(layer) for layer in LAYERS], Project(base))
    assert (cost.device, cost.machines, cost.images) == ("2 × a card", 1, IMAGES)
    assert cost.workers == 4, "three decoders are shared out as two each"
    # each says that it takes 160 images a second, its first batch left out
    assert cost.network_rate == pytest.approx(320)
    assert cost.read + cost.infer + cost.write < cost.seconds


def test_the_images_of_a_process_that_is_killed_go_to_the_others(base, caplog):
    devices = Devices(base / "seen", dies={"cuda:1": 3})
    outcome, file = through(devices)
    assert md5(file) == expected(base)
    told = [line for line in caplog.messages if "cuda:1" in line]
    assert told == [
        "extract.device: the process of cuda:1 was killed by SIGKILL; its images go to the others"
    ]
    assert devices.seen["cuda:1"] == 3 * 16
    assert outcome.computed == IMAGES
    assert nothing_is_left(base)


def test_images_that_come_back_while_nobody_is_idle_are_taken_by_who_asks_next():
    missing = SimpleNamespace(give_back=lambda share: None, count_stored=lambda some: 0, go_on=lambda: False)
    missing.pending = np.arange(5)
    work = SimpleNamespace(extract=Extract())
    processes = device_processes._Processes(None, {}, work, missing, bar=Mock())
    dead, alive = (device_processes._Process(name, Mock(), Mock()) for name in ("cpu", "cuda:0"))
    dead.process.wait.return_value = -9
    dead.held["a"] = Share("a", np.arange(5))
    processes._at_work = [dead, alive]
    processes._lose(dead)  # the other still stores what it has, and has been told that there is no more
    processes._on_idle(alive)
    alive.connection.send.assert_called_once_with(True)


def test_when_the_last_process_is_killed_the_run_stops_and_rows_are_kept(base):
    row = 47 * 4 * 16  # of both layers, a batch
    devices = Devices(base / "seen", dies={"cuda:0": 8, "cuda:1": 4}, flush=row)
    with pytest.raises(UserError, match=r"of cuda:\d was killed by SIGKILL, and no other is left"):
        through(devices)
    assert rows_in(base) >= 8 * 16
    before = rows_in(base)
    outcome, file = through(Devices(base / "seen"))
    assert outcome.computed == IMAGES - before
    assert md5(file) == expected(base)
    assert nothing_is_left(base)


def test_a_process_that_ends_before_it_has_begun_leaves_its_images_too(base, caplog):
    outcome, file = through(Devices(base / "seen", dies={"cuda:0": 0}))
    assert outcome.computed == IMAGES
    assert md5(file) == expected(base)
    assert "the process of cuda:0 was killed by SIGKILL; its images go to the others" in caplog.text


def test_an_image_that_gives_no_pixels_ends_all_and_what_was_computed_is_kept(base):
    digests = manifest_of(base / "images").digests
    broken = base / "images/000400.png"
    broken.write_bytes(b"damaged")
    with pytest.raises(UnreadableImage, match=r"000400\.png") as caught:
        through(Devices(base / "seen"))
    assert caught.value.reason
    assert 0 < rows_in(base) < len(digests)
    assert nothing_is_left(base)


def test_images_that_give_no_pixels_are_skipped_and_named(base):
    for number in (3, 250, 477):
        (base / f"images/{number:06d}.png").write_bytes(b"damaged %d" % number)
    outcome, file = through(Devices(base / "seen"), on_bad_image="skip")
    assert (outcome.computed, len(outcome.failures)) == (IMAGES - 3, 3)
    result = load_record(ExtractionResult, file.parent / "extraction.json")
    assert [skipped.id for skipped in result.splits["test"].skipped] == ["000003", "000250", "000477"]


def test_what_a_user_can_mend_comes_from_a_process_as_from_here(base):
    devices = Devices(base / "seen", fails={"cuda:1": not_there("cuda:1")})
    with pytest.raises(UserError, match=r"^extract\.device: cuda:1: torch finds no GPU; set it"):
        through(devices)
    changed = UserError("000001.png: changed since the manifest was written", rerun="dataset")
    with pytest.raises(UserError) as caught:
        through(Devices(base / "seen", fails={"cuda:0": changed}))
    assert caught.value.rerun == "dataset"
    assert nothing_is_left(base)


def test_a_defect_shows_where_it_was(base):
    with pytest.raises(ZeroDivisionError) as caught:
        through(Devices(base / "seen", fails={"cuda:0": ZeroDivisionError("a defect")}))
    assert "device_networks.py" in "".join(caught.value.__notes__)
    assert nothing_is_left(base)


def test_images_that_another_run_is_at_are_waited_for(base):
    manifest = manifest_of(base / "images")
    with RowCache(base / "cache").writer() as other:
        claim, _, _ = other.claim({"late": other.rows(key_of("late"))}, manifest.digests, 100)

        def release() -> None:
            wait_until(lambda: rows_in(base) == IMAGES - 100)  # all else is stored
            other.release(claim)

        threading.Thread(target=release).start()
        outcome, file = through(Devices(base / "seen"))
    assert outcome.computed == IMAGES
    assert outcome.waited > 0
    assert md5(file) == expected(base)


def test_for_few_images_no_process_is_started(base):
    for path in sorted((base / "images").iterdir())[63:]:
        path.unlink()
    devices = Devices(base / "seen")
    outcome, _ = through(devices)
    assert (outcome.computed, outcome.devices) == (63, 1)
    assert devices.seen == {".seen": 64}, "it is here, where the network takes the first device"


def test_a_list_of_several_kinds_is_refused_unless_they_may_be_mixed(base):
    told = (
        r"^extract\.device: \[cpu, cuda:0\]: CPUs and GPUs may differ in the last bits of a row; "
        r"name devices of one kind, or set extract\.mixed: true$"
    )
    with pytest.raises(UserError, match=told):
        through(Devices(base / "seen"), device=("cpu", "cuda:0"))
    kinds = {"cuda:0": "an old one", "cuda:1": "a new one"}
    with pytest.raises(UserError, match=r"\[cuda:0, cuda:1\]: a new one and an old one may differ"):
        through(Devices(base / "seen", kinds=kinds))
    assert rows_in(base) < IMAGES
    assert nothing_is_left(base)
    outcome, _ = through(Devices(base / "seen", kinds=kinds), mixed=True)
    assert outcome.computed > 0


def test_rows_of_another_kind_are_not_added_to(base):
    names = [f"{number:06d}.png" for number in range(20)]
    run(base, manifest_of(base / "images", names))
    kinds = dict.fromkeys(TWO, "another")
    with pytest.raises(UserError, match=r"rows of early by another and by pixels, which may differ"):
        through(Devices(base / "seen", kinds=kinds))
    assert rows_in(base) == 20


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from device_networks import TWO, Devices
from test_device_processes import through
from pool5.telling import told_in_one_line
with told_in_one_line():
    through(Devices(Path({folder!r}), pace=dict.fromkeys(TWO, 0.4)), workers=2)
"""


def started(base: Path) -> subprocess.Popen[str]:
    """An extraction in a session of its own, at work on both devices."""
    program = PROGRAM.format(here=str(HERE), folder=str(base / "seen"))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    devices = Devices(base / "seen")
    wait_until(lambda: len(devices.seen) == 2 and min(devices.seen.values()) >= 48)
    return process


@pytest.mark.parametrize("whom", ["the group", "the parent"])
def test_ctrl_c_ends_all_processes_and_what_was_computed_is_kept(base, whom):
    process = started(base)
    (os.killpg if whom == "the group" else os.kill)(process.pid, signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert told == "interrupted; run the same command again to go on from here\n"
    assert in_session(process.pid) == []
    seen = sum(Devices(base / "seen").seen.values())
    assert rows_in(base) >= seen - 2 * 16 > 0, "but for the batch that each was at"
    assert nothing_is_left(base)


@pytest.mark.parametrize("sent", [0, 2, 300])
def test_a_process_that_dies_in_the_midst_of_a_message_is_lost_as_any_other(sent):
    message = ForkingPickler.dumps(("end", (Outcome(device="a card" * 100),)))
    ours, theirs = socket.socketpair()
    theirs.sendall((struct.pack("!i", len(message)) + bytes(message))[:sent])
    theirs.close()
    lost = []
    processes = device_processes._Processes(None, {}, SimpleNamespace(extract=Extract()), Mock(), bar=Mock())
    one = device_processes._Process("cuda:0", Mock(), Connection(ours.detach()))
    processes._at_work = [one]
    processes._lose = lambda each: (lost.append(each), processes._at_work.remove(each))
    processes._hear()
    assert lost == [one]


def test_a_worker_that_is_told_to_end_in_the_midst_of_a_message_sends_no_other():
    class Interrupted(Connection):
        def send(self, message):
            os.write(self.fileno(), b"half")
            raise KeyboardInterrupt

    ours, theirs = socket.socketpair()
    parent = Parent(Interrupted(theirs.detach()))
    with pytest.raises(KeyboardInterrupt):
        parent.tell("take", 16)
    parent.release("a claim")  # what is done after is for the next run to find
    with pytest.raises(ParentGoneError):
        parent.tell("end")
    assert ours.recv(100) == b"half"
    assert ours.recv(100) == b""


def test_when_the_parent_is_killed_the_others_store_what_they_have_and_end(base):
    process = started(base)
    process.kill()
    process.communicate()
    wait_until(lambda: not in_session(process.pid))
    assert rows_in(base) >= 48
    outcome, file = through(Devices(base / "seen"))
    assert outcome.computed < IMAGES
    assert md5(file) == expected(base)
    assert nothing_is_left(base)


def test_decoders_and_their_memory_are_shared_out():
    half = reading_of(Extract(), PREPROCESS, MachineShare(2))
    assert half.workers == max(min(cores() // 2, 32), 1)
    assert reading_of(Extract(workers=0), PREPROCESS, MachineShare(2)).workers == 0
    assert reading_of(Extract(workers=5), PREPROCESS, MachineShare(2)).workers == 3
    assert reading_of(Extract(), PREPROCESS, MachineShare(10_000)).workers == 1
    assert half.memory_gb == Extract().memory_gb, "an image that one device takes is taken by each of several"


def test_the_devices_of_a_machine(monkeypatch, caplog):
    torch = pytest.importorskip("torch")
    names = ["large one", "small one", "large one"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: names[number])
    monkeypatch.setattr(device_processes, "gpus", lambda: len(names))
    for setting in ("auto", "cuda"):
        assert devices_of(Extract(device=setting)) == ["cuda:0", "cuda:2"]
    assert "cuda:1 (small one) is left out, as cuda:0 is a large one" in caplog.text
    assert devices_of(Extract(device="auto", mixed=True)) == ["cuda:0", "cuda:1", "cuda:2"]
    assert devices_of(Extract(device="cuda:1")) == ("cuda:1",)
    names.clear()  # a torch without CUDA beside GPUs
    assert devices_of(Extract(device="auto")) == ("auto",)


def test_one_gpu_needs_no_torch_to_be_known(monkeypatch):
    monkeypatch.setattr(device_processes, "gpus", lambda: 1)
    assert devices_of(Extract(device="auto")) == ("auto",)
    assert devices_of(Extract(device=("cpu", "cpu"))) == ("cpu", "cpu")


def test_ray_takes_no_list():
    pytest.importorskip("ray", reason="ray is not installed")
    from pool5.extract.ray_fleet import check_device

    with pytest.raises(UserError, match=r"extract\.device: cuda:0, cuda:1: with runner ray it is"):
        check_device(Extract(device=TWO, runner="ray"))

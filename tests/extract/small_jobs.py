"""Small extractions on real files, for tests of what happens when they are interrupted.

Run as a program it is the parent of processes that are killed: one that has imported everything and has
no threads, so that it can fork a child in a millisecond.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pool5.datasets.manifest import Manifest
from pool5.extract import extractor
from pool5.extract.extract_layers import extract_layers
from pool5.extract.job import Job
from pool5.extract.work import Outcome, Timed
from pool5.params import Extract, Layer, Preprocess
from pool5.project import Project
from pool5.store.feature_key import FeatureKey
from pool5.store.layer_shape import LayerShape
from pool5.store.row_cache import RowCache
from pool5.store.verify import shards_of, verify_feature_file, verify_shard
from pool5.telling import told_in_one_line

PREPROCESS = Preprocess(resize=20, crop=16)
ROWS_A_SHARD = 24


class PixelNetwork:
    """A network whose nodes are pixels; `log` is told how many images it saw, `pace` is seconds a batch."""

    in_flight = 0
    device_kind = device = "pixels"
    shapes: Mapping[Layer, LayerShape] = {}
    timed = Timed()

    def __init__(
        self, nodes: Mapping[str, int], dtype: str = "float32", log: Path | None = None, pace: float = 0
    ):
        self.nodes, self.dtype, self.log, self.pace = nodes, dtype, log, pace
        self.seen = 0

    def start(self, images: np.ndarray) -> Callable[[], Mapping[Layer, np.ndarray]]:
        flat = images.reshape(len(images), -1).astype(self.dtype)
        values = {
            Layer(node=node): flat[:, :width] / np.asarray(255, self.dtype)
            for node, width in self.nodes.items()
        }
        time.sleep(self.pace)
        self.seen += len(images)
        if self.log:
            self.log.write_text(str(self.seen))
        return lambda: values


def key_of(node: str, dtype: str = "float32", **changes: object) -> FeatureKey:
    key = FeatureKey("pixels", "0" * 64, node, {"crop": 16, "resize": 20}, "fp32", dtype, 1)
    return dataclasses.replace(key, **changes)


def write_images(folder: Path, count: int, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 256, (24, 20 + number % 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")


def manifest_of(folder: Path, names: list[str] | None = None, split: str = "test") -> Manifest:
    paths = [folder / name for name in names] if names is not None else sorted(folder.glob("*.png"))
    digests = [hashlib.blake2b(path.read_bytes(), digest_size=16).digest() for path in paths]
    labels = np.array([[1 - 2 * (d[0] & 1), 1 - (d[1] & 1)] for d in digests], np.int8).reshape(-1, 2)
    return Manifest(
        split=split,
        classes=("even", "odd"),
        ids=np.array([path.stem for path in paths], dtype=np.str_),
        paths=np.array([path.name for path in paths], dtype=np.str_),
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16),
        sizes=np.zeros((len(paths), 2), np.int32),
        labels=labels,
    )


def run(
    base: Path,
    manifest: Manifest,
    *,
    nodes: Mapping[str, int] | None = None,
    network: PixelNetwork | None = None,
    cache: Path | None = None,
    out: str = "",
    model: str = "pixels",
    key: Callable[[str], FeatureKey] = key_of,
    root: str = "",
    **extract: object,
) -> tuple[Outcome, Path]:
    """Extract `manifest` of the images in `root` or `base`/images; gives what was done and the features."""
    nodes = nodes or {"early": 40, "late": 7}
    settings = {"batch_size": 16, "workers": 0, "cache": str(cache or base / "cache"), **extract}
    job = Job(model, {node: key(node) for node in nodes}, [manifest], root or base / "images", "small")
    network = network or PixelNetwork(nodes)
    project = Project(base / out)
    _, outcome = extract_layers(job, Extract(**settings), PREPROCESS, lambda: network, project)
    return outcome, project.features(model, manifest.split)


def rows_in(base: Path, node: str = "late") -> int:
    return sum(len(shard) for shard in RowCache(base / "cache").rows(key_of(node)).shards)


def kill_at_random(base: Path, kills: int, seed: int) -> dict:
    """Kill an extraction at random moments, let it go on, kill it again; start over when it is done."""
    extractor.FLUSH_BYTES = ROWS_A_SHARD * 47 * 4
    draw = random.Random(seed)
    manifest = manifest_of(base / "images")
    expected = hashlib.md5((base / "reference.h5").read_bytes()).hexdigest()
    target, log = Project(base).features("pixels", "test"), base / "seen"
    report = {"kills": 0, "damaged": [], "lost": [], "wrong": 0, "finished": 0, "killed with rows": 0}
    longest = 0.0  # the first run is left to end, which tells how long the kills may wait
    while report["kills"] < kills:
        before = rows_in(base)
        log.write_text("0")
        child = os.fork()
        if child == 0:
            sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
            run(base, manifest, network=PixelNetwork({"early": 40, "late": 7}, log=log, pace=0.004))
            os._exit(0)
        began = time.monotonic()
        if longest:
            time.sleep(draw.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        report["kills"] += killed
        stored = rows_in(base)
        lost = before + int(log.read_text() or 0) - stored
        if killed and stored < len(manifest):
            report["lost"].append(lost)
            report["killed with rows"] += stored > before
        report["damaged"] += [bad for path in shards_of(base / "cache") for bad in verify_shard(path)]
        if target.exists():
            report["damaged"] += verify_feature_file(target)
            report["wrong"] += hashlib.md5(target.read_bytes()).hexdigest() != expected
        if not killed:
            report["finished"] += 1
            longest = longest or time.monotonic() - began
            shutil.rmtree(base / "cache")
            shutil.rmtree(base / "data")
    run(base, manifest)
    report["wrong"] += hashlib.md5(target.read_bytes()).hexdigest() != expected
    report["left"] = sorted(str(p.relative_to(base)) for p in base.rglob("*.unfinished")) + [
        str(p) for p in (base / "cache" / "writers").iterdir() if p.is_dir()
    ]
    return report


# The system calls of x86-64 that open, write, sync, rename or remove files.
CALLS = {1: "write", 18: "pwrite64", 20: "writev", 73: "flock", 74: "fsync", 75: "fdatasync", 77: "ftruncate",
         82: "rename", 83: "mkdir", 87: "unlink", 90: "chmod", 91: "fchmod", 257: "openat", 263: "unlinkat",
         264: "renameat", 268: "fchmodat", 285: "fallocate", 316: "renameat2"}  # fmt: skip
_ENTRY = 8 * 15  # orig_rax in user_regs_struct
_FIRST_ARGUMENT = 8 * 14  # rdi
_RESULT = 8 * 10  # rax


def trace(work: Callable[[], None], number: int, fault: int | None) -> tuple[str | None, int]:
    """Run `work` in a child; at its file system call `number` kill it, or let that call fail with `fault`.

    Gives the call's name, None if there were fewer calls, and the child's exit code (-9 when killed).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes, libc.ptrace.restype = (
        [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p],
        ctypes.c_long,
    )
    child = os.fork()
    if child == 0:
        os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
        libc.ptrace(0, 0, None, None)  # PTRACE_TRACEME
        os.kill(os.getpid(), signal.SIGSTOP)
        code = 0
        try:
            with told_in_one_line():
                work()
        except SystemExit as stop:
            code = stop.code
        except OSError as error:
            code = 3 if error.errno == errno.EIO else 4
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            code = 5
        os._exit(code)
    os.waitpid(child, 0)
    libc.ptrace(0x4200, child, None, 1 | 8 | 0x100000)  # SETOPTIONS: TRACESYSGOOD, TRACECLONE, EXITKILL
    libc.ptrace(24, child, None, None)  # SYSCALL: run to the next entry or exit
    inside: set[int] = set()
    to_fail: set[int] = set()
    count, name = 0, None
    while True:
        thread, status = os.waitpid(-1, 0x40000000)  # __WALL
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if thread == child:
                return name, os.waitstatus_to_exitcode(status)
            continue
        if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
            if thread not in inside:
                inside.add(thread)
                call = libc.ptrace(3, thread, _ENTRY, None)
                # what is said on stderr is not part of publishing
                if call in CALLS and libc.ptrace(3, thread, _FIRST_ARGUMENT, None) != 2:
                    count += 1
                    if count == number:
                        name = CALLS[call]
                        if fault is None:
                            os.kill(child, signal.SIGKILL)
                        else:
                            libc.ptrace(6, thread, _ENTRY, ctypes.c_void_p(-1))
                            to_fail.add(thread)
            else:
                inside.discard(thread)
                if thread in to_fail:
                    to_fail.discard(thread)
                    libc.ptrace(6, thread, _RESULT, ctypes.c_void_p(-fault))
        libc.ptrace(24, thread, None, None)


def fault_at_every_call(base: Path, fault: int | None) -> dict:
    """Publish under a fault at each file system call in turn, and see what is left."""
    manifest = manifest_of(base / "images")
    expected = (base / "reference.h5").read_bytes()
    target = Project(base).features("pixels", "test")
    report: dict = {"calls": [], "bad": []}
    done: set[bool] = set()
    # with a file of an earlier run in place, and with none: the calls are counted anew in each case
    for old, number in [(old, number) for old in (False, True) for number in range(1, 1000)]:
        if old in done:
            continue
        shutil.rmtree(base / "data", ignore_errors=True)
        if old:
            target.parent.mkdir(parents=True)
            target.write_bytes(b"the earlier file")
        name, code = trace(lambda: run(base, manifest), number, fault)
        if name is None:
            done.add(old)
            continue
        report["calls"].append(name)
        there = target.read_bytes() if target.exists() else None
        before = b"the earlier file" if old else None
        if there not in (before, expected):
            report["bad"].append(f"{number} {name}: something else in place")
        if fault is not None and code not in (0, 2, 3):
            report["bad"].append(f"{number} {name}: exit code {code}: {(base / 'stderr').read_text()}")
        if code == 0 and there != expected:
            report["bad"].append(f"{number} {name}: success told, but not there")
        if code == 2 and len((base / "stderr").read_text().splitlines()) != 1:
            report["bad"].append(f"{number} {name}: more than one line")
        outcome, _ = run(base, manifest)
        if target.read_bytes() != expected or outcome.computed:
            report["bad"].append(f"{number} {name}: the next run did not mend it")
        if leftovers := [path.name for path in target.parent.iterdir() if path.name.endswith(".unfinished")]:
            report["bad"].append(f"{number} {name}: left {leftovers}")
    return report


if __name__ == "__main__":
    what, folder, *numbers = sys.argv[1:]
    os.chdir(folder)
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if what == "kill":
        print(json.dumps(kill_at_random(Path(folder), *map(int, numbers))))
    else:
        print(json.dumps(fault_at_every_call(Path(folder), *[int(n) or None for n in numbers])))

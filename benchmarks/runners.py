"""The runner ray beside the local one, on the same cores: what the cluster costs."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.contest import DIFFERENT, Peer, PeerFailedError, Row, contest

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: what a child leaves behind is ours, and so its CPU time
_SIDE = 128  # pixels


def runner_rows(scratch: Path, images: int = 5000, runs: int = 3) -> list[Row]:
    """A whole extraction in a process of its own, its cluster's start and end included."""
    folder = scratch / "runners"
    _make_project(folder, images)
    seconds: dict[str, list[float]] = {"ray": [], "local": []}

    def run(runner: str) -> tuple[float, str]:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        shutil.rmtree(folder / "data/features", ignore_errors=True)
        wall, cpu = _in_a_process(folder, runner)
        seconds[runner].append(cpu)
        return wall, hashlib.md5((folder / "data/features/net/test.h5").read_bytes()).hexdigest()

    def check(ours: str, theirs: str) -> str:
        same = "the feature files are equal to the byte" if ours == theirs else f"{DIFFERENT}other bytes"
        cpu = {name: float(np.median(found)) for name, found in seconds.items()}
        ratio = cpu["ray"] / cpu["local"]
        return f"{same}; CPU seconds {cpu['ray']:.0f} and {cpu['local']:.0f}, a ratio of {ratio:.3f}"

    peer = Peer(
        "runner: local (limit)",
        "",
        lambda: run("local"),
        check,
        note="a whole process each; that of ray starts a cluster of this machine and ends it",
    )
    what = f"{images:,} JPEGs of 160 x 120, resnet18 at {_SIDE} px"
    return contest("extraction, runner ray", what, "runner: ray", lambda: run("ray"), [peer], runs)


def _make_project(folder: Path, images: int) -> None:
    from PIL import Image

    from pool5.datasets.inventory import take_inventory
    from pool5.models.weights import start_network, store_start
    from pool5.params import Params, load_params
    from pool5.project import Project

    random = np.random.default_rng(0)
    for split, count in (("train", 1), ("test", images)):
        path = folder / "raw" / split / "drawn"
        path.mkdir(parents=True)
        for number in range(count):
            drawn = random.integers(0, 256, (6, 8, 3), np.uint8)
            Image.fromarray(drawn).resize((160, 120)).save(path / f"{number:06}.jpg")
    document = msgspec.to_builtins(load_params())
    dataset = {
        "name": "drawn",
        "kind": "folder",
        "root": str(folder / "raw"),
        "train": "train",
        "test": "test",
    }
    model = {"architecture": "resnet18", "weights": "random", "layers": {"fc7": "flatten"}, "train": None}
    model |= {"preprocess": {"resize": _SIDE, "crop": _SIDE}}
    extract = {"device": "cpu", "cache": str(folder / "cache")}
    document = {"dataset": dataset, "models": {"net": model}, "extract": extract}
    params = msgspec.convert(document, Params)
    (folder / "params.yaml").write_bytes(msgspec.json.encode(document))
    take_inventory(Project(folder), params.dataset)
    start = start_network("net", params.models["net"], ("drawn",), Project(folder).models)
    store_start("net", start, Project(folder).model("net"))


def _in_a_process(folder: Path, runner: str) -> tuple[float, float]:
    """(seconds, CPU seconds) of an extraction and of all that it starts, also of what outlives it."""
    command = [sys.executable, "-m", "benchmarks.runners", "measure", str(folder), runner]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerFailedError(done.stderr.strip().split("\n")[-1][:200])
    wall, cpu = map(float, done.stdout.split()[-2:])
    return wall, cpu


def _measure(folder: Path, runner: str) -> None:
    """In a process that has no other children: it waits for all of them."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.runners", "extract", str(folder), runner], check=True)
    wall = time.perf_counter() - began
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    print(wall, _children_cpu())


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _extract(folder: Path, runner: str) -> None:
    from pool5.extract.extract_layers import extract_model
    from pool5.params import load_params
    from pool5.project import Project

    params = load_params(folder / "params.yaml")
    how = msgspec.structs.replace(params.extract, runner=runner)
    extract_model("net", msgspec.structs.replace(params, extract=how), Project(folder))


if __name__ == "__main__":
    {"measure": _measure, "extract": _extract}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])

"""The runner ray beside the local one, on the same cores: what the cluster costs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.contest import DIFFERENT, Peer, PeerFailedError, Row, contest

_SIDE = 128  # pixels


def runner_rows(scratch: Path, images: int = 20_000, runs: int = 2) -> list[Row]:
    """A whole extraction in a process of its own, its cluster's start and end included."""
    folder = scratch / "runners"
    _make_project(folder, images)

    def run(runner: str) -> tuple[float, str]:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        shutil.rmtree(folder / "data/features", ignore_errors=True)
        seconds = _in_a_process(folder, runner)
        return seconds, hashlib.md5((folder / "data/features/net/test.h5").read_bytes()).hexdigest()

    def check(ours: str, theirs: str) -> str:
        return "the feature files are equal to the byte" if ours == theirs else f"{DIFFERENT}other bytes"

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


def _in_a_process(folder: Path, runner: str) -> float:
    """Seconds of an extraction, from its process's start to its end."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.runners", str(folder), runner]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerFailedError(done.stderr.strip().split("\n")[-1][:200])
    return time.perf_counter() - began


def _extract(folder: Path, runner: str) -> None:
    from pool5.extract.extract_layers import extract_model
    from pool5.params import load_params
    from pool5.project import Project

    params = load_params(folder / "params.yaml")
    how = msgspec.structs.replace(params.extract, runner=runner)
    extract_model("net", msgspec.structs.replace(params, extract=how), Project(folder))


if __name__ == "__main__":
    _extract(Path(sys.argv[1]), sys.argv[2])

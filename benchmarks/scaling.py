"""How time and memory grow: extraction to 30,000 images, what comes after it to a million rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.contest import Row, peak_megabytes

_WIDTH = 128
_EXTRACTED = (1_000, 3_000, 10_000, 30_000)
_ROWS = (1_000, 10_000, 100_000, 1_000_000)

Measured = dict[str, tuple[float, float]]  # {step: (seconds, peak MB of the process so far)}


def measure_extraction(count: int, folder: Path) -> Measured:
    """Drawn JPEGs through a small network, from files to a published feature file."""
    from PIL import Image

    from benchmarks.host_memory import reuse_freed_memory
    from pool5.datasets.inventory import take_inventory
    from pool5.extract.extract_layers import extract_model
    from pool5.models.weights import start_network, store_start
    from pool5.params import Params, load_params
    from pool5.project import Project

    reuse_freed_memory()
    random = np.random.default_rng(0)
    for split, images in (("train", 1), ("test", count)):
        for number in range(images):
            path = folder / "raw" / split / "drawn" / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = random.integers(0, 256, (6, 8, 3), np.uint8)
            Image.fromarray(drawn).resize((64, 48)).save(path)
    document = msgspec.to_builtins(load_params())
    document["dataset"] |= {"kind": "folder", "root": str(folder / "raw"), "train": "train", "val": None}
    document["dataset"] |= {"test": "test", "sample": None}
    spec = {"architecture": "shufflenet_v2_x0_5", "weights": "random", "layers": {"fc7": "mean"}}
    spec |= {"preprocess": {"resize": 48, "crop": 48}, "train": None}
    document["models"] = {"small": spec}
    document["extract"] |= {"device": "cpu", "cache": str(folder / "cache")}
    params = msgspec.convert(document, Params)
    project = Project(folder)
    take_inventory(project, params.dataset)
    start = start_network("small", params.models["small"], ("drawn",), project.models)
    store_start("small", start, project.model("small"))
    began = time.perf_counter()
    extract_model("small", params, project)
    return {"extract": (time.perf_counter() - began, peak_megabytes())}


def measure_rows(count: int, folder: Path) -> Measured:
    """Publishing, indexing and querying synthetic rows."""
    from benchmarks.neighbors import clustered
    from benchmarks.storage import synthetic_features
    from pool5.search.exact import ExactSearch
    from pool5.search.faiss_index import build_index
    from pool5.store.feature_file import FeatureFile

    path = folder / f"{count}.h5"
    vectors = clustered(count, _WIDTH)
    found = {}

    began = time.perf_counter()
    synthetic_features(path, vectors)
    found["publish"] = time.perf_counter() - began, peak_megabytes()
    del vectors
    rows = FeatureFile.open(path).layer("fc7")
    began = time.perf_counter()
    build_index(rows, "Flat", "cosine", seed=0)
    found["index"] = time.perf_counter() - began, peak_megabytes()
    search = ExactSearch(rows, "cosine")
    queries = np.array(rows[:10])
    search.search(queries[:1], 10)
    began = time.perf_counter()
    for query in queries:
        search.search(query[None], 10)
    found["query"] = (time.perf_counter() - began) / len(queries), peak_megabytes()
    return found


def scaling_rows(scratch: Path) -> list[Row]:
    """A row for each step; the peer is growth in proportion to N from the second size on."""
    images, vectors = "JPEGs of 64 x 48, shufflenet at 48 px", f"x {_WIDTH} float32, synthetic"
    return [
        *_rows("measure_extraction", ("extract",), _EXTRACTED, images, scratch),
        *_rows("measure_rows", ("publish", "index", "query"), _ROWS, vectors, scratch),
    ]


def _rows(
    function: str, steps: Sequence[str], counts: Sequence[int], what: str, scratch: Path
) -> Iterator[Row]:
    found = {count: _in_its_own_process(function, count, scratch) for count in counts}
    for step in steps:
        seconds = [found[count][step][0] for count in counts]
        exponent = float(np.polyfit(np.log(counts[1:]), np.log(seconds[1:]), 1)[0])
        proportional = seconds[1] * counts[-1] / counts[1]
        told = ", ".join(
            f"{count:,}: {seconds:.3g} s, {megabytes:.0f} MB"
            for count, (seconds, megabytes) in ((count, found[count][step]) for count in counts)
        )
        yield Row(
            f"scaling, {step}",
            f"{counts[0]:,} to {counts[-1]:,} {what}",
            "Pool5 at the largest",
            f"time in proportion to N, from {counts[1]:,} on",
            "",
            float(f"{seconds[-1]:.4g}"),
            float(f"{proportional:.4g}"),
            float(f"{seconds[-1] / proportional:.4g}"),
            1,
            f"fitted exponent {exponent:.2f} from {counts[1]:,} on",
            note=f"time and peak memory of the process so far: {told}",
        )


def _in_its_own_process(function: str, count: int, scratch: Path) -> Measured:
    """A process's peak memory only grows: each size gets a new one."""
    print(f"scaling: {function} of {count}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scaling", function, str(count), folder],
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.strip().split("\n")[-1])


if __name__ == "__main__":
    measure = {"measure_extraction": measure_extraction, "measure_rows": measure_rows}[sys.argv[1]]
    print(json.dumps(measure(int(sys.argv[2]), Path(sys.argv[3]))))

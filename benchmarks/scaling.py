"""How time and memory of publishing, indexing and querying grow from a thousand rows to a million."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.contest import Row, peak_megabytes

_WIDTH = 128
_STEPS = ("publish", "index", "query")


def measure(count: int, folder: str) -> dict[str, list[float]]:
    """Seconds and peak MB of each step at `count` rows; runs in a process of its own."""
    from benchmarks.neighbours import clustered
    from benchmarks.storage import synthetic_features
    from pipeline.search.exact import ExactSearch
    from pipeline.search.faiss_index import build_index
    from pipeline.store.feature_file import FeatureFile

    path = Path(folder) / f"{count}.h5"
    vectors = clustered(count, _WIDTH)
    found = {}

    began = time.perf_counter()
    synthetic_features(path, vectors)
    found["publish"] = [time.perf_counter() - began, peak_megabytes()]
    del vectors
    rows = FeatureFile.open(path).layer("fc7")
    began = time.perf_counter()
    build_index(rows, "Flat", "cosine", seed=0, device="cpu")
    found["index"] = [time.perf_counter() - began, peak_megabytes()]
    search = ExactSearch(rows, "cosine")
    queries = np.array(rows[:10])
    search.search(queries[:1], 10)
    began = time.perf_counter()
    for query in queries:
        search.search(query[None], 10)
    found["query"] = [(time.perf_counter() - began) / len(queries), peak_megabytes()]
    path.unlink()
    return found


def scaling_rows(scratch: Path, counts: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)) -> list[Row]:
    """A row for each step; the peer is growth in proportion to N from 10,000 rows on."""
    code = (
        "import sys, json; from benchmarks.scaling import measure;"
        "print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))"
    )
    found = {}
    for count in counts:
        print(f"scaling: {count} rows", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-c", code, str(count), str(scratch)], capture_output=True, text=True, check=True
        )
        found[count] = json.loads(done.stdout.strip().split("\n")[-1])
    rows = []
    for step in _STEPS:
        seconds = [found[count][step][0] for count in counts]
        memory = [found[count][step][1] for count in counts]
        exponent = float(np.polyfit(np.log(counts[1:]), np.log(seconds[1:]), 1)[0])
        proportional = seconds[1] * counts[-1] / counts[1]
        told = ", ".join(
            f"{c:,}: {s:.3g} s, {m:.0f} MB" for c, s, m in zip(counts, seconds, memory, strict=True)
        )
        rows.append(
            Row(
                f"scaling, {step}",
                f"{counts[0]:,} to {counts[-1]:,} x {_WIDTH} float32, synthetic",
                "Pool5 at the largest",
                "time in proportion to N, from 10,000 rows",
                "",
                float(f"{seconds[-1]:.4g}"),
                float(f"{proportional:.4g}"),
                float(f"{seconds[-1] / proportional:.4g}"),
                1,
                f"fitted exponent {exponent:.2f} from {counts[1]:,} rows on",
                note=f"time and peak memory of the process so far: {told}",
            )
        )
    return rows

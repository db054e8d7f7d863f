"""Opening a row cache of very many rows, and finding which of some images it lacks: time and memory.

Usage: python -m benchmarks.many_digests FOLDER [MILLIONS] [WANTED]

Writes FOLDER with so many million rows of one value each, in shards of 32,768 (what a row holds is not read),
and looks for WANTED images, half of which are there, in a process of its own. The page cache is warm. They
are written once; a second call only looks. 100 million take 2.2 GB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pool5.store.feature_key import FeatureKey
from pool5.store.row_cache import RowCache

KEY = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float16", 1)
IN_A_SHARD = 1 << 15


def main(folder: str, millions: str = "100", wanted: str = "1000000") -> None:
    root, rows = Path(folder), round(float(millions) * 1e6)
    if not root.is_dir():
        write(root, rows)
    command = [sys.executable, "-m", "benchmarks.many_digests", "--look", folder, str(rows), wanted]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{rows / 1e6:g} million rows in {told.pop('shards')} shards, {wanted} images wanted:", told)


def digests(first: int, count: int) -> np.ndarray:
    """(count, 16) uint8: those of the shard that starts there."""
    return np.random.default_rng([7, first]).integers(0, 256, (count, 16), np.uint8)


def write(root: Path, rows: int) -> None:
    with RowCache(root).writer() as writer:
        for first in range(0, rows, IN_A_SHARD):
            count = min(IN_A_SHARD, rows - first)
            writer.add(KEY, digests(first, count), np.ones((count, 1), np.float16), "cpu")


def look(folder: str, rows: str, wanted: str) -> None:
    half = int(wanted) // 2
    starts = range(0, int(rows), IN_A_SHARD)
    there = np.concatenate([digests(first, IN_A_SHARD) for first in starts[: -(-half // IN_A_SHARD)]])[:half]
    asked = np.concatenate([there, np.random.default_rng(1).integers(0, 256, (half, 16), np.uint8)])
    start, before = time.perf_counter(), time.process_time()
    stored = RowCache(folder).rows(KEY, asked)
    opened = time.perf_counter()
    lacking = int((stored.find(asked)[:, 0] < 0).sum())
    done = time.perf_counter()
    assert lacking == half, lacking
    told = {
        "shards": len(stored.shards),
        "open_s": round(opened - start, 2),
        "find_s": round(done - opened, 2),
        "cpu_s": round(time.process_time() - before, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    if sys.argv[1] == "--look":
        look(*sys.argv[2:])
    else:
        main(*sys.argv[1:])

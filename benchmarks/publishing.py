"""From the row cache to a feature file: beside copying the same bytes, with the memory that it takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import DIFFERENT, Peer, Row, contest, peak_megabytes, timed
from benchmarks.host_memory import reuse_freed_memory
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import FileHead
from pool5.store.publish import publish
from pool5.store.row_cache import RowCache

_KEY = FeatureKey("synthetic", "0" * 64, "f", {}, "fp32", "float16", 1)
_SHARD_ROWS = 62_500
_MOST_MEGABYTES = 500


def fill(folder: Path, count: int, width: int) -> None:
    """A row cache of random rows, and their digests in a file."""
    random = np.random.default_rng(0)
    digests = random.integers(0, 256, (count, 16), dtype=np.uint8)
    np.save(folder / "digests.npy", digests)
    with RowCache(folder / "cache").writer() as writer:
        for start in range(0, count, _SHARD_ROWS):
            some = digests[start : start + _SHARD_ROWS]
            bits = random.integers(0, 15_000, (len(some), width), dtype=np.uint16)
            writer.add(_KEY, some, bits.view(np.float16))


def publish_once(folder: Path) -> dict[str, Any]:
    """Publish all rows in the cache's order; the seconds, and the peak of resident memory in MB."""
    reuse_freed_memory()
    digests = np.load(folder / "digests.npy")
    count = len(digests)
    ids = np.char.zfill(np.arange(count).astype(np.str_), 7)
    head = FileHead("synthetic", "test", "m", ("one",), ids, digests, np.ones((count, 1), np.int8))
    (folder / "test.h5").unlink(missing_ok=True)
    began = time.perf_counter()
    publish(folder / "test.h5", head, {"fc7": RowCache(folder / "cache").rows(_KEY)})
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "megabytes": peak_megabytes()}


def publishing_rows(scratch: Path, count: int = 1_000_000, width: int = 512, runs: int = 3) -> list[Row]:
    """The row of publishing; the copy is synced to the disk as well."""
    folder = scratch / "publishing"
    folder.mkdir()
    fill(folder, count, width)
    peaks = []

    def ours() -> tuple[float, Any]:
        code = (
            "import json, sys; from pathlib import Path; from benchmarks.publishing import publish_once;"
            "print(json.dumps(publish_once(Path(sys.argv[1]))))"
        )
        command = [sys.executable, "-c", code, str(folder)]
        answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        peaks.append(answer["megabytes"])
        return answer["seconds"], folder / "test.h5"

    def copy() -> Path:
        copied = folder / "copy.h5"
        copied.unlink(missing_ok=True)
        shutil.copyfile(folder / "test.h5", copied)
        with copied.open("rb+") as file:
            os.fsync(file.fileno())
        return copied

    def check(published: Path, copied: Path) -> str:
        layer = FeatureFile.open(published).layer("fc7")
        if layer.shape != (count, width) or published.stat().st_size != copied.stat().st_size:
            return f"{DIFFERENT}{layer.shape}"
        word = "" if max(peaks) < _MOST_MEGABYTES else DIFFERENT
        return f"{word}every byte written and synced; resident at most {max(peaks):.0f} MB"

    note = (
        "Pool5 gathers rows by digest and hashes every block; the copy does neither; both wait for the disk"
    )
    peer = Peer("copying the published file", "sendfile and fsync", timed(copy), check, note=note)
    given = f"{count:,} x {width} float16 from the row cache"
    rows = contest("publishing", given, "Pool5", ours, [peer], runs)
    shutil.rmtree(folder)
    return rows

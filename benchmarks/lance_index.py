"""Lance beside FAISS: what building an index over a million vectors costs, and what it then finds.

Usage: python -m benchmarks.lance_index [ROWS [WIDTH]]

Both are built over the same feature file of float32, with the same factory and training sample, each in a
process of its own; memory is what the process holds beside mapped files. The vectors are those of
`benchmarks.million`, and the queries come from the same clusters but are not among them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks import million
from pool5.files.digests import size_of
from pool5.search.exact import ExactSearch
from pool5.search.factory import choose_factory
from pool5.search.faiss_index import build_index
from pool5.search.faiss_search import IndexSearch
from pool5.search.lance_index import LanceSearch, build_lance
from pool5.search.quality import TARGET_RECALL, measure_latency, recall_at
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.feature_key import FeatureKey
from pool5.store.lance_table import open_table

K, QUERIES = 10, 100
RESULTS = Path(__file__).parent / "results" / "lance.json"
CLASSES = ("half", "hundredth")


def main(rows: str = "1000000", width: str = "512") -> None:
    count = int(rows)
    million.WIDTH = int(width)
    with tempfile.TemporaryDirectory(prefix="pool5-bench-") as folder:
        file = write_features(Path(folder), count)
        measured = []
        for engine in ("faiss", "lance"):
            command = [sys.executable, "-m", "benchmarks.lance_index", "one", engine, str(file), width]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            measured.append(json.loads(out.splitlines()[-1]))
            print(json.dumps(measured[-1], indent=1), flush=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(found | {f"{count} x {width}": measured}, indent=1) + "\n")


def write_features(folder: Path, count: int) -> Path:
    """A feature file of `count` rows, half of which show one class and a hundredth another."""
    path, rng = folder / "vectors.bin", np.random.default_rng(1)
    parts = million.structure()
    with path.open("wb") as out:
        for start in range(0, count, million.BLOCK):
            million.draw(rng, *parts, min(million.BLOCK, count - start)).tofile(out)
    shown = rng.random((count, 2)) < (0.5, 0.01)
    write_feature_file(
        folder / "test.h5",
        dataset="drawn",
        split="test",
        model="net",
        classes=CLASSES,
        ids=np.array([f"{row:08d}" for row in range(count)]),
        digests=rng.integers(0, 256, (count, 16), dtype=np.uint8),
        labels=np.where(shown, 1, -1).astype(np.int8),
        layers={"fc": np.memmap(path, np.float32, "r", shape=(count, million.WIDTH))},
        keys={"fc": FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1)},
    )
    path.unlink()
    return folder / "test.h5"


def one(engine: str, file: str, width: str) -> None:
    """Measure an engine; the last line printed is what was found, as JSON."""
    million.WIDTH = int(width)
    features = FeatureFile.open(file)
    vectors, path = features.layer("fc"), Path(file).parent / f"fc.{engine}"
    queries = million.draw(np.random.default_rng(2), *million.structure(), QUERIES)
    factory = choose_factory(*vectors.shape, million.BUDGET * len(vectors) / 1e6).factory
    found: dict[str, Any] = {"engine": engine, "factory": factory}

    with Cost() as cost:
        if engine == "lance":
            search, found["trained_on"] = build_lance(features, "fc", factory, "cosine", path, seed=0)
        else:
            index, found["trained_on"] = build_index(vectors, factory, "cosine", seed=0)
            search = IndexSearch(index, ExactSearch(vectors, "cosine"))
            search.write(path)
    found |= {f"build_{name}": value for name, value in cost.found().items()}
    found["version"] = __import__(engine).__version__
    found["bytes"] = size_of(path)
    if engine == "lance":
        found["bytes_of_indexes"] = size_of(path / "_indices")

    found |= cheapest(search, queries)
    del search
    with Cost() as cost:  # as a new process would: opened again, and asked
        exact = ExactSearch(vectors, "cosine")
        if engine == "lance":
            search = LanceSearch(open_table(str(path)), "net/fc", exact, found["setting"])
        else:
            search = IndexSearch(faiss.read_index(str(path)), exact, found["setting"])
        latency = measure_latency(lambda q: search.search(q, K), queries, singles=200)
    found |= {"milliseconds": latency.single, "milliseconds_in_batch": latency.in_batch}
    found |= {f"query_{name}": value for name, value in cost.found().items()}
    for column, name in enumerate(CLASSES):
        found[f"filtered_{name}"] = filtered(search, exact, features.labels[:, column] == 1, name, queries)
    print(json.dumps(found))


def cheapest(search: LanceSearch | IndexSearch, queries: np.ndarray) -> dict[str, Any]:
    """The setting that compares least of those that find .95 of the 10 nearest, or the last one."""
    rows = len(search.exact.vectors)
    truth = search.exact.search(queries, K)[0]

    def comparisons(setting: dict[str, int]) -> int:
        lists = search.settings()[-1]["nprobe"] * 16  # as `probe_counts` has it
        ranked = K * setting["shortlist"] if setting.get("shortlist", 1) > 1 else 0
        return setting["nprobe"] * rows // lists + ranked

    for setting in sorted(search.settings(), key=comparisons):
        search.apply(setting)
        recall = recall_at(search.search(queries, K)[0], truth)
        print(f"{setting}: recall@{K} {recall:.3f}", file=sys.stderr, flush=True)
        if recall >= TARGET_RECALL:
            break
    compared = search.counted(queries, K)[1]
    return {"setting": search.setting, "recall": {str(K): recall}, "compared": compared}


def filtered(
    search: LanceSearch | IndexSearch, exact: ExactSearch, allowed: np.ndarray, name: str, queries: np.ndarray
) -> dict[str, float]:
    """Queries for images of a class, as `Searcher` asks them: FAISS knows no classes, so they are exact."""
    told = {"classes": [name]} if search.filters else {}
    asked: Any = search if search.filters else exact
    some = queries[:20]
    nearest = exact.search(some, K, allowed=allowed)[0]
    distances = np.concatenate([asked.search(query[None], K, allowed=allowed, **told)[0] for query in some])
    began = time.perf_counter()
    for query in some:
        asked.search(query[None], K, allowed=allowed, **told)
    seconds = time.perf_counter() - began
    return {"milliseconds": 1e3 * seconds / len(some), "recall": recall_at(distances, nearest)}


class Cost:
    """What is done within it: seconds, seconds of a core, and the most memory that the process held."""

    def __enter__(self) -> Cost:
        self._done = threading.Event()
        self._most = self._before = _anonymous()
        self._watch = threading.Thread(target=self._look)
        self._began, self._used = time.perf_counter(), _core_seconds()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._cpu = time.perf_counter() - self._began, _core_seconds() - self._used
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self._most = max(self._most, _anonymous())

    def found(self) -> dict[str, float]:
        megabytes = {"megabytes": round(self._most / 1e3), "megabytes_before": round(self._before / 1e3)}
        return {"seconds": round(self._seconds, 2), "core_seconds": round(self._cpu, 2), **megabytes}


def _core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _anonymous() -> int:
    """What this process holds in memory, in kB, beside maps of files."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0])


if __name__ == "__main__":
    one(*sys.argv[2:]) if sys.argv[1:2] == ["one"] else main(*sys.argv[1:])

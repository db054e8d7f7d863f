"""The service under load: requests a second, and the 99th percentile of their times.

`python -m benchmarks --only serve` asks it by wrk, a package of Debian, on the same machine. The bare
Searcher is asked in one process: question by question, and as many in a call as there are clients.
clip-retrieval is asked over HTTP with the vector: its back end knows no ids.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.contest import DIFFERENT, Peer, PeerFailedError, Row, contest
from benchmarks.neighbors import clustered, faiss_normalized, same_neighbors
from benchmarks.peer_environment import HERE, python
from benchmarks.storage import synthetic_features
from pool5.datasets.manifest import Manifest, write_manifest
from pool5.params import read_params
from pool5.project import Project
from pool5.search import Searcher

_K = 10
_ASKED = 500  # ids that are drawn once and asked by turns
_CHECKED = 20
_PINNED = "2.45.0"
_OURS, _THEIRS = 8341, 8342  # ports
# what it found is told as one line of JSON
_SCRIPT = """
local lines, at = {}, 0
for line in io.lines("%s") do lines[#lines + 1] = line end
function request()
  at = at + 1
  local line = lines[at %% #lines + 1]
  %s
end
function done(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format('{"requests": %%d, "seconds": %%f, "p99": %%f, "errors": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e6,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
"""
_GET = 'return wrk.format("GET", line)'
_POST = 'return wrk.format("POST", "/knn-service", {["Content-Type"] = "application/json"}, line)'


@dataclasses.dataclass(frozen=True)
class Load:
    """What was found under load; times in seconds, and the (n, k) rows that the first questions find."""

    requests: int
    seconds: float
    p99: float
    errors: int
    rows: np.ndarray

    @property
    def each(self) -> tuple[float, Load]:
        """Seconds a request, and all of it."""
        if not self.requests:
            raise PeerFailedError("no answer in the time that was given")
        return self.seconds / self.requests, self

    def __str__(self) -> str:
        told = f"{self.requests / self.seconds:.4g} a second"
        told += f", p99 {1000 * self.p99:.3g} ms" if self.p99 else ""
        return f"{told}, {self.errors} errors" if self.errors else told


@dataclasses.dataclass(frozen=True)
class Server:
    """A service that is asked by wrk: what it is sent, and the rows that it finds."""

    url: str
    script: Path
    rows: Callable[[], np.ndarray]

    def load(self, clients: int, seconds: int) -> Load:
        """So many clients at once, each asking again when it is answered."""
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "-s", str(self.script)]
        done = subprocess.run([*command, self.url], capture_output=True, text=True, check=True)
        found = json.loads(next(line for line in done.stdout.split("\n") if line.startswith("{")))
        return Load(**found, rows=self.rows())


def serve_rows(
    scratch: Path,
    count: int,
    width: int,
    clients: Sequence[int] = (1, 8, 64),
    seconds: int = 10,
    runs: int = 2,
) -> list[Row]:
    """Neighbors by id among `count` x `width` float32, at several numbers of clients."""
    folder = scratch / f"serve-{count}"
    project = make_project(folder, clustered(count, width))
    asked = np.sort(np.random.default_rng(3).choice(count, _ASKED, replace=False))
    searcher = Searcher.open(project.features("resnet18", "test"), "fc7", "cosine")
    vectors = searcher.features.layer("fc7")
    same = same_neighbors(vectors, asked[:_CHECKED])

    def check(ours: Load, theirs: Load) -> str:
        told = same(ours.rows, theirs.rows)
        told = told if told.startswith("recall 1.000") else f"{DIFFERENT}{told}"
        return f"{told}; {ours}; the other {theirs}"

    rows = []
    with contextlib.ExitStack() as running:
        ours = running.enter_context(_pool5(project, asked))
        theirs = running.enter_context(_clip_retrieval(folder, vectors, asked))
        for number in clients:
            peers = [
                _bare(searcher, asked, 1, seconds, check),
                *([_bare(searcher, asked, number, seconds, check)] if number > 1 else []),
                _by_wrk(theirs, number, seconds, check),
            ]
            rows += contest(
                "service, neighbors by id",
                f"{count} x {width} float32, cosine, k = {_K}; {number} client{'s' if number > 1 else ''}",
                "pool5 serve, a request",
                lambda number=number: ours.load(number, seconds).each,
                peers,
                runs,
                warm_up=True,
            )
    shutil.rmtree(folder)
    return rows


def make_project(folder: Path, vectors: np.ndarray) -> Project:
    """A project that has nothing but features and a list of images that are not there."""
    project = Project(folder)
    dataset = {"name": "synthetic", "kind": "folder", "root": "images", "train": "train", "test": "test"}
    model = {"architecture": "resnet18", "weights": "random", "layers": {"fc7": "flatten"}, "train": None}
    folder.mkdir(parents=True)
    project.params.write_bytes(msgspec.json.encode({"dataset": dataset, "models": {"resnet18": model}}))
    read_params(project.params)
    features = project.features("resnet18", "test")
    features.parent.mkdir(parents=True)
    synthetic_features(features, vectors)
    file = Searcher.open(features, "fc7").features
    manifest = Manifest(
        split="test",
        classes=file.classes,
        ids=file.ids,
        paths=np.char.add(file.ids, ".jpg"),
        digests=file.digests,
        sizes=np.ones((len(file), 2), np.int32),
        labels=file.labels,
    )
    write_manifest(manifest, project.manifest("test"))
    return project


def _bare(
    searcher: Searcher, asked: np.ndarray, at_once: int, seconds: int, check: Callable[[Load, Load], str]
) -> Peer:
    """The Searcher in this process, so many questions in one call."""
    ids = searcher.features.ids[asked].tolist()

    def run() -> tuple[float, Load]:
        began, done = time.perf_counter(), 0
        while (past := time.perf_counter() - began) < seconds:
            searcher.query([ids[(done + n) % len(ids)] for n in range(at_once)], _K)
            done += at_once
        found = searcher.query(ids[:_CHECKED], _K)
        rows = np.array([[int(near.id) for near in each] for each in found])
        return Load(done, past, 0.0, 0, rows).each

    told = "one by one" if at_once == 1 else f"{at_once} in a call"
    return Peer(f"bare Searcher, {told} (limit)", "", run, check)


def _by_wrk(server: Server | str, clients: int, seconds: int, check: Callable[[Load, Load], str]) -> Peer:
    name = "clip-retrieval, its back end"
    if isinstance(server, str):
        return Peer(name, "", None, missing=server)
    note = "Flask's own server; FAISS Flat on vectors of length one; asked with the vector, in JSON"
    return Peer(name, _PINNED, lambda: server.load(clients, seconds).each, check, note=note)


@contextlib.contextmanager
def _pool5(project: Project, asked: np.ndarray) -> Iterator[Server]:
    ids = [f"{row:07d}" for row in asked]
    paths = [f"/api/neighbors?id={name}&model=resnet18&layer=fc7&k={_K}" for name in ids]
    url = f"http://127.0.0.1:{_OURS}"

    def rows() -> np.ndarray:
        found = [_json(f"{url}{path}")["neighbors"] for path in paths[:_CHECKED]]
        return np.array([[int(near["id"]) for near in each] for each in found])

    command = [sys.executable, "-m", "pool5", "serve", "--port", str(_OURS), "--rate", "0"]
    with _running(command, project.root, f"{url}/healthz") as trouble:
        if trouble:
            raise RuntimeError(f"pool5 serve: {trouble}")
        yield Server(url, _script(project.root / "get", paths, _GET), rows)


@contextlib.contextmanager
def _clip_retrieval(folder: Path, vectors: np.ndarray, asked: np.ndarray) -> Iterator[Server | str]:
    """Its back end over the same vectors, or why it does not run."""
    program, missing = python()
    if "clip-retrieval" in missing:
        yield missing["clip-retrieval"]
        return
    unit = faiss_normalized(vectors)
    np.save(folder / "database.npy", unit)
    about = {"modality": "image", "num_images": _K + 1, "indice_name": "index"}
    bodies = [json.dumps({**about, "embedding_input": unit[row].tolist()}) for row in asked]
    del unit
    url = f"http://127.0.0.1:{_THEIRS}"

    def rows() -> np.ndarray:
        found = [_json(f"{url}/knn-service", body.encode()) for body in bodies[:_CHECKED]]
        return np.array([[near["id"] for near in each] for each in found])

    command = [
        str(program),
        str(HERE / "peers/clip_retrieval_back.py"),
        str(folder / "database.npy"),
        str(_THEIRS),
    ]
    with _running(command, folder, f"{url}/indices-list") as trouble:
        yield trouble or Server(url, _script(folder / "post", bodies, _POST), rows)


@contextlib.contextmanager
def _running(command: list[str], folder: Path, url: str) -> Iterator[str]:
    """A server, once it answers; else what it said last."""
    log = folder / f"{Path(command[1]).stem}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                _json(url)
                break
            time.sleep(0.1)
        yield "" if process.poll() is None else log.read_text().strip().split("\n")[-1][:200]
    finally:
        process.terminate()
        process.wait()


def _script(path: Path, lines: Sequence[str], request: str) -> Path:
    """What wrk runs: each line in turn, again and again."""
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    path.with_suffix(".lua").write_text(_SCRIPT % (path.with_suffix(".txt").resolve(), request))
    return path.with_suffix(".lua")


def _json(url: str, body: bytes | None = None) -> list | dict:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())

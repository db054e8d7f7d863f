"""Four nodes of a Ray cluster, as processes of this machine: the same bytes as here, whatever dies."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_jobs import PREPROCESS, PixelNetwork, key_of, manifest_of, rows_in, run, write_images

from pool5.datasets.manifest import Manifest
from pool5.errors import UserError
from pool5.extract.extract_layers import extract_layers
from pool5.extract.job import Job
from pool5.extract.work import Network, Outcome
from pool5.files import remote
from pool5.images.budget import UnreadableImage
from pool5.params import Extract, Layer
from pool5.project import Project
from pool5.results.extraction import ExtractionResult
from pool5.results.record import load_record
from pool5.store.row_cache import RowCache
from tests.servers import S3

pytest.importorskip("ray", reason="ray is not installed")
from pool5.extract import ray_runner

pytestmark = [pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
NODES = 4
IMAGES = 960
LAYERS = {"early": 40, "late": 7}
_STORE = 80 << 20


class LoggingNetwork(PixelNetwork):
    """Tells in a file of its process how many images it saw; it may die at an image of one color."""

    def __init__(self, folder: Path, pace: float, kind: str = "pixels", dies: bool = False) -> None:
        super().__init__(LAYERS, log=folder / f"{os.getpid()}.seen", pace=pace)
        self.device_kind, self.dies = kind, dies

    def start(self, images: np.ndarray) -> Callable[[], Mapping[Layer, np.ndarray]]:
        if self.dies and (images == 7).all(axis=(1, 2, 3)).any():
            os._exit(1)
        return super().start(images)


class Nodes:
    """The cluster; a context that ends all its processes."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.folder = Path(tempfile.mkdtemp(prefix="p5r-", dir="/tmp"))  # short: sockets lie in it
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(self.folder)}
        self.cluster = Cluster()
        patiently(lambda: self.cluster.add_node(object_store_memory=_STORE, **head))
        self.nodes: list = []

    def fill(self) -> None:
        while len(self.nodes) < NODES:
            self.add()

    def add(self) -> None:
        self.nodes.append(patiently(lambda: self.cluster.add_node(num_cpus=1, object_store_memory=_STORE)))

    def kill(self, place: int = 0) -> None:
        """SIGKILL to a node's raylet and to all that it started."""
        node = self.nodes.pop(place)
        [raylet] = node.all_processes["raylet"]
        for pid in [raylet.process.pid, *descendants(raylet.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.cluster.worker_nodes.discard(node)
        node.kill_all_processes(check_alive=False, allow_graceful=False)

    def end(self) -> None:
        try:
            self.cluster.shutdown()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def patiently(start: Callable[[], object]) -> object:
    """Start a node; on a busy machine ray's thirty seconds may not do."""
    for _ in range(3):
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    pytest.skip("no node of Ray starts within 30 s on this machine")


def descendants(pid: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


@pytest.fixture(scope="module")
def cluster(s3: S3) -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.settings.items():  # a node's credentials are its own
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{Path(__file__).parent}")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        nodes = Nodes()
        try:
            nodes.fill()
            patch.setenv("RAY_ADDRESS", nodes.cluster.address)
            yield nodes
        finally:
            nodes.end()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest, str]:
    """Some images, their manifest, and the md5 of what the local runner makes of them."""
    base = tmp_path_factory.mktemp("ray")
    write_images(base / "images", IMAGES)
    manifest = manifest_of(base / "images")
    _, file = run(base, manifest, cache=base / "local", out="local")
    return base / "images", manifest, md5(file)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def through_ray(
    base: Path,
    folder: Path | str,
    manifest: Manifest,
    pace: float = 0.0,
    network: object = None,
    **extract: object,
) -> tuple[Outcome, Path]:
    """Extract on the cluster; what its workers have seen is told in base/seen."""
    (base / "seen").mkdir(exist_ok=True)
    job = Job("pixels", {layer: key_of(layer) for layer in LAYERS}, [manifest], str(folder), "small")
    settings = {"batch_size": 16, "workers": 0, "cache": str(base / "cache"), "runner": "ray", **extract}
    load = network or functools.partial(LoggingNetwork, base / "seen", pace)
    project = Project(base)
    _, outcome = extract_layers(job, Extract(**settings), PREPROCESS, load, project)
    return outcome, project.features("pixels", manifest.split)


def seen(base: Path) -> list[int]:
    """How many images each worker has put through its network."""
    return [int(path.read_text() or 0) for path in (base / "seen").glob("*.seen")]


def test_four_nodes_give_the_bytes_of_the_local_runner(cluster, images, tmp_path, caplog):
    cluster.fill()
    folder, manifest, expected = images
    caplog.set_level("INFO")
    outcome, file = through_ray(tmp_path, folder, manifest, pace=0.1)
    assert md5(file) == expected
    assert outcome.computed == IMAGES
    assert 1 < outcome.workers <= NODES  # on a busy machine the last may start when all is done
    assert f"{outcome.workers} workers together: read" in caplog.text
    assert not [path for path in (tmp_path / "cache/writers").iterdir() if path.is_dir()]
    again, _ = through_ray(tmp_path, folder, manifest)
    assert again.computed == 0


@pytest.mark.parametrize("killed", [1, 3])
def test_nodes_that_are_killed_halfway_cost_the_units_at_work(cluster, images, tmp_path, killed):
    cluster.fill()
    folder, manifest, expected = images
    killer = threading.Thread(target=kill_halfway, args=(cluster, tmp_path, killed))
    killer.start()
    outcome, file = through_ray(tmp_path, folder, manifest, pace=0.2)
    killer.join()
    assert md5(file) == expected
    assert len(cluster.nodes) == NODES - killed
    lost = sum(seen(tmp_path)) - IMAGES
    assert 0 <= lost <= killed * IMAGES / (2 * NODES) + killed * 16, "a unit of each, and the batch at hand"
    assert outcome.workers >= min(NODES - killed, 2)


def kill_halfway(cluster: Nodes, base: Path, count: int) -> None:
    while rows_in(base) < IMAGES / 3:
        time.sleep(0.1)
    for _ in range(count):
        cluster.kill()


def test_a_node_that_joins_on_the_way_takes_part(cluster, images, tmp_path, monkeypatch):
    # which a node's start does, and only the main thread may
    monkeypatch.setattr("ray._private.utils.set_sigterm_handler", lambda handler: None)
    monkeypatch.setattr(ray_runner, "_UNIT_SECONDS", 0.5)  # or the first worker has all in hand
    folder, manifest, expected = images
    while len(cluster.nodes) > 1:
        cluster.kill()

    def join() -> None:
        while rows_in(tmp_path) < 64:
            time.sleep(0.1)
        cluster.add()
        done.wait()
        cluster.kill(-1)  # it would end with the thread that started it

    done = threading.Event()
    joiner = threading.Thread(target=join)
    joiner.start()
    network = functools.partial(_waits, tmp_path / "seen")
    try:
        outcome, file = through_ray(tmp_path, folder, manifest, network=network)
    finally:
        done.set()
    joiner.join()
    assert md5(file) == expected
    assert (outcome.computed, outcome.workers) == (IMAGES, 2)


def _waits(folder: Path) -> Network:
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        (folder / "second").touch()
    return WaitingNetwork(folder, 0.05)


class WaitingNetwork(LoggingNetwork):
    """After a first unit it waits until there is a second worker."""

    def start(self, images: np.ndarray) -> Callable[[], Mapping[Layer, np.ndarray]]:
        while self.seen >= 64 and not (self.log.parent / "second").exists():
            time.sleep(0.1)
        return super().start(images)


def test_images_and_cache_in_a_bucket_whose_server_stops_for_twenty_seconds(
    cluster, images, tmp_path, s3, bucket, monkeypatch
):
    cluster.fill()
    monkeypatch.setattr(remote, "_WAIT", 0.5)  # as the workers have it
    folder, manifest, expected = images
    for path in sorted(folder.glob("*.png")):
        bucket.put(f"images/{path.name}", path.read_bytes())
    cache = f"{bucket}/rows"
    during: list[int] = []

    def stop() -> None:
        while sum(seen(tmp_path)) < IMAGES / 3:
            time.sleep(0.1)
        with s3.stopped():
            time.sleep(20)
            during.append(sum(seen(tmp_path)))

    stopper = threading.Thread(target=stop)
    stopper.start()
    outcome, file = through_ray(tmp_path, f"{bucket}/images", manifest, pace=0.2, cache=cache)
    stopper.join()
    assert during[0] < IMAGES  # it was stopped on the way
    assert md5(file) == expected
    assert outcome.computed == IMAGES
    again, _ = through_ray(tmp_path, f"{bucket}/images", manifest, cache=cache)
    assert again.computed == 0


def driver(base: Path, folder: Path, pace: float) -> str:
    """A program that extracts as `through_ray` does."""
    return f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_ray_runner import manifest_of, md5, through_ray
base, folder = Path({str(base)!r}), Path({str(folder)!r})
outcome, file = through_ray(base, folder, manifest_of(folder), {pace})
print(outcome.computed, outcome.workers, md5(file))
"""


def test_two_drivers_at_once_compute_no_row_twice(cluster, images, tmp_path):
    """The second one has a cluster of its own on this machine, which it starts and ends."""
    cluster.fill()
    folder, manifest, expected = images
    (tmp_path / "seen").mkdir()
    program = driver(tmp_path, folder, pace=0.4)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, text=True, **pipes) as other:
        outcome, file = through_ray(tmp_path, folder, manifest, pace=0.4)
        told, errors = other.communicate()
    assert other.returncode == 0, errors
    computed, _, found = told.split()
    assert md5(file) == found == expected
    assert outcome.computed + int(computed) == IMAGES


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_driver_and_what_they_stored_is_kept(cluster, images, tmp_path, sign):
    cluster.fill()
    folder, manifest, expected = images
    with subprocess.Popen([sys.executable, "-c", driver(tmp_path, folder, pace=0.3)]) as other:
        while rows_in(tmp_path) < 64:
            time.sleep(0.1)
        other.send_signal(sign)
    workers = [int(path.stem) for path in (tmp_path / "seen").glob("*.seen")]
    ended = time.monotonic() + 60
    while living := [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < ended, f"still there: {living}"
        time.sleep(0.2)
    kept = rows_in(tmp_path)
    outcome, file = through_ray(tmp_path, folder, manifest)
    assert md5(file) == expected
    assert outcome.computed == IMAGES - kept


def with_a_bad_image(base: Path) -> tuple[Path, Manifest]:
    write_images(base / "images", 200)
    (base / "images/000131.png").write_bytes(b"damaged")
    return base / "images", manifest_of(base / "images")


def test_a_bad_image_stops_as_it_does_here(cluster, tmp_path):
    cluster.fill()
    folder, manifest = with_a_bad_image(tmp_path)
    with pytest.raises(UnreadableImage) as here:
        run(tmp_path, manifest, root=str(folder), cache=tmp_path / "local")
    with pytest.raises(UnreadableImage) as there:
        through_ray(tmp_path, folder, manifest)
    assert str(there.value) == str(here.value)
    assert there.value.path.endswith("000131.png")


def test_a_bad_image_is_skipped_and_listed_as_it_is_here(cluster, tmp_path):
    cluster.fill()
    folder, manifest = with_a_bad_image(tmp_path)
    run(tmp_path, manifest, root=str(folder), cache=tmp_path / "local", out="local", on_bad_image="skip")
    outcome, file = through_ray(tmp_path, folder, manifest, on_bad_image="skip")
    local = Project(tmp_path / "local")
    assert md5(file) == md5(local.features("pixels", "test"))
    assert len(outcome.failures) == 1
    records = [load_record(ExtractionResult, p.extraction("pixels")) for p in (Project(tmp_path), local)]
    assert records[0] == records[1]


def test_an_image_that_has_changed_is_told_as_it_is_here(cluster, tmp_path):
    cluster.fill()
    write_images(tmp_path / "images", 40)
    manifest = manifest_of(tmp_path / "images")
    write_images(tmp_path / "images", 1, seed=5)
    with pytest.raises(UserError, match=r"000000\.png: changed since the manifest was written") as told:
        through_ray(tmp_path, tmp_path / "images", manifest)
    assert told.value.rerun == "dataset"


def test_images_at_which_three_workers_die_are_named(cluster, tmp_path):
    cluster.fill()
    write_images(tmp_path / "images", 40)
    Image.new("RGB", (24, 24), (7, 7, 7)).save(tmp_path / "images/000005.png")
    manifest = manifest_of(tmp_path / "images")
    network = functools.partial(LoggingNetwork, tmp_path / "seen", 0.0, dies=True)
    with pytest.raises(UserError, match=r"3 workers died at the same images: .*0000\d\d\.png.* and 37 more"):
        through_ray(tmp_path, tmp_path / "images", manifest, network=network)


def test_a_cache_that_the_workers_do_not_share_is_told(cluster, images, tmp_path, monkeypatch):
    cluster.fill()
    folder, manifest, _ = images
    monkeypatch.setattr(ray_runner, "_APPEAR_SECONDS", 1.0)
    monkeypatch.chdir(tmp_path)  # a cache that is named from there is another one where a worker is elsewhere
    network = functools.partial(_elsewhere, tmp_path)
    with pytest.raises(UserError, match=r"extract\.cache must be a folder that all machines share"):
        through_ray(Path(), folder, manifest, network=network)


def _elsewhere(base: Path) -> Network:
    (base / "elsewhere").mkdir(exist_ok=True)
    os.chdir(base / "elsewhere")
    return LoggingNetwork(base / "seen", 0.0)


def test_a_worker_on_another_kind_of_device_is_left_out(cluster, images, tmp_path, caplog):
    cluster.fill()
    folder, manifest, expected = images
    kinds = functools.partial(_first_differs, tmp_path)
    (tmp_path / "seen").mkdir()
    outcome, file = through_ray(tmp_path, folder, manifest, network=kinds)
    assert "is left out: it computes by" in caplog.text
    assert outcome.workers < NODES
    (kind,) = RowCache(tmp_path / "cache").rows(key_of("late")).devices()
    assert kind in ("one", "another")
    assert md5(file) == expected


def _first_differs(base: Path) -> Network:
    try:
        (base / "first").touch(exist_ok=False)
    except FileExistsError:
        return LoggingNetwork(base / "seen", 0.05, "another")
    return LoggingNetwork(base / "seen", 0.05, "one")


def test_no_connection_is_one_line(images, tmp_path, monkeypatch):
    folder, manifest, _ = images
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UserError, match=r"no connection to the Ray cluster at 127\.0\.0\.1:9"):
        through_ray(tmp_path, folder, manifest)

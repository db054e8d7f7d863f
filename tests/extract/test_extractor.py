"""Each row is computed once, whatever is renamed, reordered, repeated, added or run at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import small_jobs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_jobs import PREPROCESS, PixelNetwork, key_of, manifest_of, rows_in, run, write_images

from pool5.errors import UserError
from pool5.extract import extractor, shares
from pool5.extract.extract_layers import extract_layers
from pool5.extract.job import Job
from pool5.images.budget import UnreadableImage
from pool5.images.image_file import read_image
from pool5.images.transform import resize_and_crop
from pool5.params import Extract, Layer
from pool5.project import Project
from pool5.results.extraction import ExtractionResult
from pool5.results.record import load_record
from pool5.store.feature_file import FeatureFile
from pool5.store.row_cache import RowCache

ROOT = Path(__file__).resolve().parents[2]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", 40)
    return tmp_path


def test_a_row_is_what_the_network_says_of_the_resized_image(base: Path) -> None:
    manifest = manifest_of(base / "images")
    _, path = run(base, manifest)
    file = FeatureFile.open(path)
    for row in (0, 17, 39):
        pixels = resize_and_crop(read_image(base / "images" / manifest.paths[row]), PREPROCESS)
        np.testing.assert_array_equal(file.layer("late")[row], (pixels.reshape(-1)[:7] / np.float32(255)))
    np.testing.assert_array_equal(file.labels, manifest.labels)


def test_a_second_run_computes_nothing_loads_no_network_and_gives_the_same_bytes(base: Path) -> None:
    manifest = manifest_of(base / "images")
    _, path = run(base, manifest)
    before = md5(path)

    def refuse() -> PixelNetwork:
        raise AssertionError("the network was loaded")

    job = Job(
        "pixels", {node: key_of(node) for node in ("early", "late")}, [manifest], base / "images", "small"
    )
    extract = Extract(cache=str(base / "cache"))
    _, outcome = extract_layers(job, extract, PREPROCESS, refuse, Project(base))
    assert outcome.computed == 0
    assert md5(path) == before


def test_a_renamed_image_computes_nothing(base: Path) -> None:
    run(base, manifest_of(base / "images"))
    (base / "images" / "000003.png").rename(base / "images" / "zebra.png")
    outcome, path = run(base, manifest_of(base / "images"))
    assert outcome.computed == 0
    assert FeatureFile.open(path).ids[-1] == "zebra"


def test_one_changed_image_computes_one_row(base: Path) -> None:
    run(base, manifest_of(base / "images"))
    shutil.copy(base / "images" / "000003.png", base / "images" / "000004.png")
    write_images(base / "images", 1, seed=9)
    outcome, _ = run(base, manifest_of(base / "images"))
    assert outcome.computed == 1


def test_the_same_bytes_under_two_ids_are_computed_once(base: Path) -> None:
    for number in range(5):
        shutil.copy(base / "images" / "000000.png", base / "images" / f"copy{number}.png")
    outcome, path = run(base, manifest_of(base / "images"))
    assert outcome.computed == 40
    rows = FeatureFile.open(path).layer("early")
    assert len(rows) == 45
    assert (rows[-5:] == rows[0]).all()


def test_a_new_layer_computes_that_layer_only(base: Path) -> None:
    manifest = manifest_of(base / "images")
    run(base, manifest, nodes={"early": 40})
    first = RowCache(base / "cache").rows(key_of("early")).shards
    outcome, _ = run(base, manifest, nodes={"early": 40, "late": 7})
    assert outcome.computed == 40
    assert [s.where for s in RowCache(base / "cache").rows(key_of("early")).shards] == [
        s.where for s in first
    ]
    assert rows_in(base, "late") == 40


def test_switching_the_parameters_back_computes_nothing(base: Path) -> None:
    manifest = manifest_of(base / "images")
    run(base, manifest)
    other, _ = run(base, manifest, key=lambda node: key_of(node, preprocessing={"crop": 16, "resize": 17}))
    back, _ = run(base, manifest)
    assert (other.computed, back.computed) == (40, 0)


def test_another_clone_on_the_same_cache_computes_nothing(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run(base, manifest_of(base / "images"))
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(base / "images", clone / "images")
    outcome, _ = run(clone, manifest_of(clone / "images"), cache=base / "cache")
    assert outcome.computed == 0


def test_two_layers_that_name_one_node_share_its_rows(base: Path) -> None:
    manifest = manifest_of(base / "images")
    job = Job(
        "pixels", {"fc7": key_of("late"), "pool5": key_of("late")}, [manifest], base / "images", "small"
    )
    extract = Extract(cache=str(base / "cache"), workers=0)
    extract_layers(job, extract, PREPROCESS, lambda: PixelNetwork({"late": 7}), Project(base))
    file = FeatureFile.open(Project(base).features("pixels", "test"))
    np.testing.assert_array_equal(file.layer("fc7"), file.layer("pool5"))
    assert rows_in(base, "late") == 40


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_any_subsets_gives_the_bytes_of_one_run(base: Path, data: st.DataObject) -> None:
    names = [f"{number:06d}.png" for number in range(40)]
    whole = data.draw(st.permutations(names)).copy()
    shutil.rmtree(base / "cache", ignore_errors=True)
    _, path = run(base, manifest_of(base / "images", whole))
    expected = md5(path)
    shutil.rmtree(base / "cache")
    computed = 0
    for _ in range(data.draw(st.integers(0, 3))):
        subset = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
        settings_ = {"batch_size": data.draw(st.sampled_from([1, 16, 40])), "workers": 0}
        outcome, _ = run(base, manifest_of(base / "images", subset), out="parts", **settings_)
        computed += outcome.computed
    outcome, path = run(base, manifest_of(base / "images", whole))
    assert md5(path) == expected
    assert computed + outcome.computed == 40


@pytest.mark.parametrize("workers", [1, 3])
def test_worker_processes_give_the_bytes_of_none(base: Path, workers: int) -> None:
    manifest = manifest_of(base / "images")
    _, path = run(base, manifest)
    expected = md5(path)
    _, path = run(base, manifest, cache=base / "other", workers=workers)
    assert md5(path) == expected


_TWO = """
import sys, time
from pathlib import Path
from pool5.extract import extractor
from small_jobs import PixelNetwork, manifest_of, run
base, log = Path(sys.argv[1]), Path(sys.argv[2])
manifest = manifest_of(base / "images")
network = PixelNetwork({"early": 40, "late": 7}, log=log, pace=0.05)
while not (base / "go").exists():
    time.sleep(0.002)
outcome, _ = run(base, manifest, network=network, out=sys.argv[3], batch_size=16)
log.write_text(str(outcome.computed))
"""


def start_run(base: Path, name: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(small_jobs.__file__).parent}"}
    command = [sys.executable, "-c", _TWO, str(base), str(base / name), f"out-{name}"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def test_two_runs_at_once_share_the_rows_and_agree(base: Path) -> None:
    write_images(base / "images", 400)
    runs = [start_run(base, name) for name in ("a", "b")]
    time.sleep(1)
    (base / "go").touch()
    assert [one.wait() for one in runs] == [0, 0]
    computed = [int((base / name).read_text()) for name in ("a", "b")]
    assert sum(computed) == 400, "no row is computed twice"
    assert min(computed) >= 64, "both take part"
    a, b = (Project(base / f"out-{name}").features("pixels", "test") for name in ("a", "b"))
    assert md5(a) == md5(b)


def test_a_run_takes_over_what_a_killed_one_had_claimed(base: Path) -> None:
    write_images(base / "images", 200)
    (base / "go").touch()
    doomed = start_run(base, "a")
    deadline = time.monotonic() + 30
    while not list(base.glob("cache/writers/*/claim-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    doomed.kill()
    doomed.wait()
    outcome, path = run(base, manifest_of(base / "images"))
    assert outcome.computed + 0 >= 100
    assert len(FeatureFile.open(path)) == 200
    assert not [path for path in (base / "cache" / "writers").iterdir() if path.is_dir()]


def test_who_holds_the_last_images_is_told_when_it_takes_long(base: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(shares, "_WAITS_TO_TELL", 2)
    manifest = manifest_of(base / "images")
    with RowCache(base / "cache").writer() as hung:
        claim, _, _ = hung.claim({"late": hung.rows(key_of("late"))}, manifest.digests, 3)
        threading.Timer(1.5, lambda: hung.release(claim)).start()
        outcome, _ = run(base, manifest)
    assert outcome.computed == 40
    assert f"waiting for 3 images that are claimed by process {os.getpid()} on" in caplog.text


def test_a_damaged_shard_is_set_aside_and_its_rows_are_computed_again(base: Path, caplog) -> None:
    manifest = manifest_of(base / "images")
    _, path = run(base, manifest)
    expected = md5(path)
    shard = RowCache(base / "cache").rows(key_of("late")).shards[0]
    with Path(shard.where).open("r+b") as file:
        file.seek(shard.offset + 3)
        file.write(b"\xff\xfe")
    outcome, path = run(base, manifest)
    assert outcome.computed == 40
    assert md5(path) == expected
    assert f"{shard.where}: its rows are damaged; set aside" in caplog.text


def test_a_batch_is_no_larger_than_the_images_that_there_are(base: Path) -> None:
    class Watched(PixelNetwork):
        sizes: ClassVar[set[int]] = set()

        def start(self, images: np.ndarray) -> Callable[[], Mapping[Layer, np.ndarray]]:
            self.sizes.add(len(images))
            return super().start(images)

    nodes = {"early": 40, "late": 7}
    run(base, manifest_of(base / "images"), batch_size=4096, network=Watched(nodes))
    assert Watched.sizes == {48}  # 40 images, and a multiple of 16


def test_an_image_above_the_memory_it_may_take_is_never_skipped(base: Path) -> None:
    """Else the memory of a machine would decide which rows there are."""
    with pytest.raises(UserError, match=r"000000\.png: takes .* GB .*; raise extract.memory_gb"):
        run(base, manifest_of(base / "images"), memory_gb=1e-6, on_bad_image="skip")


def test_a_bad_image_stops_the_run_and_is_named(base: Path) -> None:
    (base / "images" / "000020.png").write_bytes(b"no image at all")
    with pytest.raises(UnreadableImage, match=r"000020\.png: no image of a known kind"):
        run(base, manifest_of(base / "images"))


def test_batches_that_a_device_has_begun_are_kept_when_a_bad_image_stops_the_run(base: Path) -> None:
    names = sorted(path.name for path in (base / "images").glob("*.png"))
    (base / "images" / names[-1]).write_bytes(b"no image")
    network = PixelNetwork({"early": 40, "late": 7})
    network.in_flight = 2
    with pytest.raises(UnreadableImage):
        run(base, manifest_of(base / "images"), network=network, batch_size=16)
    assert network.seen == rows_in(base) >= 32


def test_a_skipped_image_is_absent_and_listed(base: Path, caplog) -> None:
    (base / "images" / "000020.png").write_bytes(b"no image at all")
    _, path = run(base, manifest_of(base / "images"), on_bad_image="skip")
    file = FeatureFile.open(path)
    assert len(file) == 39
    assert "000020" not in file.ids
    assert "skipped 000020 of test: no image of a known kind" in caplog.text
    record = load_record(ExtractionResult, Project(base).extraction("pixels"))
    (skipped,) = record.splits["test"].skipped
    assert skipped.id == "000020"
    assert skipped.reason.startswith("no image of a known kind")
    assert record.splits["test"].rows == 39


def test_an_image_that_changed_after_the_manifest_is_refused(base: Path) -> None:
    manifest = manifest_of(base / "images")
    shutil.copy(base / "images" / "000003.png", base / "images" / "000004.png")
    with pytest.raises(UserError, match=r"000004\.png: changed since the manifest was written") as told:
        run(base, manifest)
    assert told.value.rerun == "dataset"


def test_a_value_that_is_not_finite_is_refused_and_named(base: Path) -> None:
    class Overflowing(PixelNetwork):
        def start(self, images: np.ndarray):
            values = {Layer(node=node): np.full((len(images), 7), np.inf, "f2") for node in self.nodes}
            return lambda: values

    with pytest.raises(UserError, match=r"node late of pixels gives no finite value; try dtype float32"):
        run(
            base,
            manifest_of(base / "images"),
            nodes={"late": 7},
            network=Overflowing({"late": 7}),
            key=lambda node: key_of(node, "float16"),
        )


def test_rows_of_two_kinds_of_device_are_mixed_only_if_it_is_said(base: Path) -> None:
    names = [f"{number:06d}.png" for number in range(40)]
    run(base, manifest_of(base / "images", names[:30]))
    other = PixelNetwork({"early": 40, "late": 7})
    other.device_kind = "other pixels"
    manifest = manifest_of(base / "images", names)
    with pytest.raises(UserError, match=r"by other pixels and by pixels.*extract\.mixed: true"):
        run(base, manifest, network=other)
    assert rows_in(base) == 30
    outcome, _ = run(base, manifest, network=other, mixed=True)
    assert outcome.computed == 10
    with pytest.raises(
        UserError, match=r"extract\.mixed: true"
    ):  # nothing is missing, and nothing is published
        run(base, manifest)


def test_rows_of_before_shards_named_a_device_go_with_any(base: Path) -> None:
    names = [f"{number:06d}.png" for number in range(40)]
    network = PixelNetwork({"early": 40, "late": 7})
    network.device_kind = ""
    run(base, manifest_of(base / "images", names[:30]), network=network)
    outcome, _ = run(base, manifest_of(base / "images", names))
    assert outcome.computed == 10


def test_what_others_are_at_is_left_to_them_by_one_that_does_not_wait(base: Path) -> None:
    manifest = manifest_of(base / "images")
    nodes = {"early": 40, "late": 7}
    job = Job("pixels", {node: key_of(node) for node in nodes}, [manifest], base / "images", "small")
    settings = Extract(cache=str(base / "cache"), workers=0, batch_size=16)
    work = job.work(settings, PREPROCESS, lambda: PixelNetwork(nodes), Project(base))
    with RowCache(base / "cache").writer() as other, RowCache(base / "cache").writer() as writer:
        stored = {layer: other.rows(key) for layer, key in work.keys.items()}
        other.claim(stored, job.images.digests, 25)
        _, outcome = extractor.compute_missing(writer, job.images, work, waits=False)
    assert (outcome.computed, outcome.left) == (15, 25)

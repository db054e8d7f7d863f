"""A row cache in a bucket: the bytes are those of one in a folder, and faults of the server lose nothing."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from small_jobs import PixelNetwork, manifest_of, run, write_images

from pool5.files import remote
from pool5.files.remote_errors import Unreachable
from pool5.store import shard_store
from pool5.store.shard_store import open_store
from tests.servers import Bucket

NODES = {"early": 40, "late": 7}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", 40)
    return tmp_path


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_the_feature_file_is_that_of_a_cache_in_a_folder_and_the_next_run_computes_nothing(
    base: Path, bucket: Bucket
) -> None:
    manifest = manifest_of(base / "images")
    _, here = run(base, manifest)
    there, path = run(base, manifest, cache=f"{bucket}/rows", out="there")
    again, second = run(base, manifest, cache=f"{bucket}/rows", out="again")
    assert (there.computed, again.computed) == (40, 0)
    assert md5(here) == md5(path) == md5(second)
    assert open_store(f"{bucket}/rows").folders("writers") == []


def test_a_bucket_may_be_read_besides_and_is_not_written_to(base: Path, bucket: Bucket) -> None:
    manifest = manifest_of(base / "images")
    run(base, manifest_of(base / "images", [f"{n:06d}.png" for n in range(25)]), cache=f"{bucket}/rows")
    asked = {"Bucket": bucket.name, "Prefix": "rows/"}
    before = bucket.client.list_objects_v2(**asked)["KeyCount"]
    outcome, _ = run(base, manifest, read_also=[f"{bucket}/rows"])
    assert outcome.computed == 15
    assert bucket.client.list_objects_v2(**asked)["KeyCount"] == before


@pytest.mark.parametrize("at", range(5))
def test_a_server_that_stops_for_good_ends_the_run_with_one_line_and_nothing_stored_is_lost(
    base: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    left = [at]

    def write(address: str, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Unreachable(f"{address}: connection refused, at 7 tries; look at the network")
        remote.write_remote(address, data)

    monkeypatch.setattr(shard_store, "write_remote", write)
    manifest = manifest_of(base / "images")
    with pytest.raises(Unreachable, match="look at the network"):
        run(base, manifest, cache=f"{bucket}/rows", nodes=NODES)
    monkeypatch.undo()
    for name, value in bucket.settings.items():
        monkeypatch.setenv(name, value)
    _, path = run(base, manifest, cache=f"{bucket}/rows", nodes=NODES)
    _, expected = run(base, manifest, out="here")
    assert md5(path) == md5(expected)


def test_two_runs_on_one_bucket_share_the_work(base: Path, bucket: Bucket) -> None:
    manifest = manifest_of(base / "images")
    outcomes = {}

    def extract(name: str) -> None:
        network = PixelNetwork(NODES, pace=0.2)
        outcomes[name] = run(base, manifest, cache=f"{bucket}/rows", out=name, network=network)

    threads = [threading.Thread(target=extract, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 40 <= sum(outcome.computed for outcome, _ in outcomes.values()) <= 56  # a batch at the same moment
    assert len({md5(path) for _, path in outcomes.values()}) == 1


@pytest.mark.parametrize(("status", "told"), [(403, "forbidden"), (400, "the server answers 400")])
def test_a_bucket_that_refuses_is_one_line_that_says_where(base, bucket, monkeypatch, status, told):
    def refuse(address: str, data: bytes) -> None:
        error = OSError(0, f"the server answers {status}")
        raise PermissionError(0, "forbidden") if status == 403 else error

    monkeypatch.setattr(shard_store, "write_remote", refuse)
    with pytest.raises(Unreachable, match=rf"{bucket}/rows/writers/.*: {told}.*extract.cache"):
        run(base, manifest_of(base / "images"), cache=f"{bucket}/rows")

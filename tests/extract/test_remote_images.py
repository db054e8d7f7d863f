"""Extraction from images that are far away: slow, gone, changed, or out of reach."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from small_jobs import PREPROCESS, manifest_of, run, write_images

from pool5.errors import UserError
from pool5.extract.decoding import ImageTask
from pool5.extract.reader import read_batches
from pool5.files.remote_errors import Unreachable
from pool5.images.budget import UnreadableImage
from pool5.results.extraction import ExtractionResult
from pool5.results.record import load_record


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    write_images(tmp_path / "images", 20)
    return sorted((tmp_path / "images").iterdir())


def tasks_of(images: list[Path], where: object) -> list[ImageTask]:
    return [
        ImageTask(number, f"{where}/{path.name}", hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
        for number, path in enumerate(images)
    ]


def read_all(tasks: list[ImageTask], workers: int) -> tuple[dict[int, np.ndarray], list]:
    seen, failures = {}, []
    for batch in read_batches(tasks, batch_size=8, preprocess=PREPROCESS, workers=workers):
        seen |= dict(zip(batch.numbers.tolist(), batch.images[batch.places].copy(), strict=True))
        failures += batch.failures
    return seen, failures


@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_a_server_and_of_a_bucket_are_those_of_the_folder(images, web, bucket, workers):
    expected, _ = read_all(tasks_of(images, images[0].parent), 0)
    for path in images:
        web.files[path.name] = path.read_bytes()
        bucket.put(path.name, path.read_bytes())
    web.busy["000003.png"], web.cut["000004.png"] = 2, 1
    for where in (web, bucket):
        seen, failures = read_all(tasks_of(images, where), workers)
        assert not failures
        assert seen.keys() == expected.keys()
        for number, pixels in expected.items():
            np.testing.assert_array_equal(seen[number], pixels)


def test_a_key_that_is_gone_and_one_with_other_bytes_are_told_apart(images, bucket):
    for path in images[1:]:
        bucket.put(path.name, path.read_bytes())
    bucket.put("000007.png", images[8].read_bytes())
    seen, failures = read_all(tasks_of(images, bucket), 0)
    assert {failure.number: failure.reason for failure in failures} == {
        0: "cannot be read (no such file)",
        7: "changed since the manifest was written",
    }
    assert [failure.number for failure in failures if failure.changed] == [7]
    assert seen.keys() == set(range(20)) - {0, 7}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_that_is_out_of_reach_is_no_bad_image(images, web, workers):
    for path in images:
        web.files[path.name] = path.read_bytes()
    web.busy["000005.png"] = 10**6
    _, failures = read_all(tasks_of(images, web), workers)
    (failure,) = failures
    assert failure.unreachable
    assert "000005.png: the server answers 503, at 7 tries" in failure.reason


def test_what_has_changed_since_the_manifest_ends_as_on_bad_image_says(images, tmp_path, bucket):
    for path in images:
        bucket.put(path.name, path.read_bytes())
    manifest, root = manifest_of(images[0].parent), str(bucket)
    bucket.delete("000003.png")
    with pytest.raises(UnreadableImage, match=r"s3://.*/000003.png: cannot be read \(no such file\)"):
        run(tmp_path, manifest, root=root)
    outcome, file = run(tmp_path, manifest, root=root, on_bad_image="skip")
    assert list(outcome.failures.values()) == ["cannot be read (no such file)"]
    (left_out,) = load_record(ExtractionResult, file.parent / "extraction.json").splits["test"].skipped
    assert left_out.id == "000003"
    bucket.put("000003.png", images[4].read_bytes())
    with pytest.raises(UserError, match=r"/000003.png: changed since the manifest was written") as told:
        run(tmp_path, manifest, root=root, on_bad_image="skip")
    assert told.value.rerun == "dataset"
    bucket.put("000003.png", images[3].read_bytes())
    assert run(tmp_path, manifest, root=root)[0].computed == 1
    assert run(tmp_path, manifest)[0].computed == 0


def test_a_place_out_of_reach_stops_it_though_bad_images_are_skipped(images, tmp_path, web):
    web.files |= {path.name: path.read_bytes() for path in images}
    web.busy["000005.png"] = 99
    manifest, root = manifest_of(images[0].parent), str(web)
    with pytest.raises(Unreachable, match=r"/000005.png: the server answers 503, at 7 tries"):
        run(tmp_path, manifest, root=root, on_bad_image="skip")
    web.busy["000005.png"] = 0
    run(tmp_path, manifest, root=root)

"""Images of a bucket and of a web server, looked at before anything is computed from them."""

from __future__ import annotations

import pytest
from checked import check_images
from devkit import write_image

from pool5.datasets import image_check
from pool5.datasets.image_check import BadImage, ImageFact
from pool5.datasets.inventory import take_inventory
from pool5.datasets.manifest import read_manifest
from pool5.errors import UserError
from pool5.files.remote_errors import Unreachable
from pool5.params import Dataset
from pool5.project import Project


@pytest.fixture
def files(tmp_path):
    for number in range(20):
        write_image(tmp_path / "images" / f"{number}.jpg", number)
    return {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}


def test_what_is_found_is_what_is_found_in_the_folder(files, tmp_path, web):
    web.files |= files
    names = sorted(files)
    assert list(check_images(str(web), names).values()) == list(
        check_images(tmp_path / "images", names).values()
    )
    assert web.most > 1


def test_processes_read_ahead_too(files, web, monkeypatch):
    monkeypatch.setattr(image_check, "_WORTH_A_POOL", 2)
    monkeypatch.setattr(image_check, "cores", lambda: 2)
    web.files |= files
    del web.files["7.jpg"]
    facts = check_images(str(web), sorted(files))
    assert [path for path, fact in facts.items() if isinstance(fact, BadImage)] == ["7.jpg"]
    assert facts["7.jpg"].reason == "cannot be read (no such file)"
    assert sum(isinstance(fact, ImageFact) for fact in facts.values()) == 19


def test_a_place_that_is_out_of_reach_stops_it_and_the_next_one_is_not_disturbed(files, web):
    web.files |= files
    web.busy["3.jpg"] = 99
    with pytest.raises(Unreachable, match=r"/3.jpg: the server answers 503"):
        check_images(str(web), sorted(files))
    web.busy["3.jpg"] = 0
    assert len(check_images(str(web), sorted(files))) == 20


def test_the_inventory_of_a_bucket_reads_what_is_new_or_has_another_etag(
    files, tmp_path, bucket, monkeypatch
):
    for name, data in files.items():
        bucket.put(f"photos/{name}", data)
    bucket.put("photos/notes.txt", b"no image")
    dataset = Dataset(name="toy", kind="images", root=f"{bucket}/photos", train="train", test="test")
    project, read = Project(tmp_path / "project"), []
    whole = image_check._check
    monkeypatch.setattr(
        image_check, "_check", lambda task, *more: (read.append(task[1]), whole(task, *more))[1]
    )

    def digests() -> dict[str, bytes]:
        read.clear()
        result = take_inventory(project, dataset)
        assert [(beside.ending, beside.files) for beside in result.passed_over] == [(".txt", 1)]
        manifests = [read_manifest(project.manifest(split)) for split in ("train", "test")]
        return {
            path: digest.tobytes()
            for manifest in manifests
            for path, digest in zip(manifest.paths.tolist(), manifest.digests, strict=True)
        }

    before = digests()
    assert sorted(read) == sorted(files)
    assert digests() == before
    assert not read
    bucket.put("photos/7.jpg", files["8.jpg"])
    after = digests()
    assert read == ["7.jpg"]
    assert {path for path in files if before[path] != after[path]} == {"7.jpg"}
    bucket.put("photos/7.jpg", files["8.jpg"][:100])
    with pytest.raises(UserError, match=r"1 image of 20 cannot be read: .*7.jpg"):
        take_inventory(project, dataset)

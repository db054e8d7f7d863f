from __future__ import annotations

import hashlib
import os

import pytest
from devkit import write_devkit

from pool5.datasets.images import provide_images
from pool5.errors import UserError
from pool5.params import Dataset, Sample
from pool5.project import Project

TINY = Sample(train=1, val=1, test=1, source=1)


def dataset(root, **changes) -> Dataset:
    return Dataset(
        **({"name": "toy", "kind": "voc", "root": str(root), "train": "train", "test": "test"} | changes)
    )


def test_the_sample_is_drawn_where_the_stage_puts_it(tmp_path):
    root = Project(tmp_path).raw("toy")
    provide_images(Project(tmp_path), dataset(root, sample=TINY))
    assert len(list((root / "JPEGImages").iterdir())) == 4


def test_the_sample_is_not_drawn_into_another_folder(tmp_path):
    with pytest.raises(UserError, match=r"dataset.root: .*the sample is drawn into .*sample: null"):
        provide_images(Project(tmp_path), dataset(tmp_path / "mine", sample=TINY))
    assert not list(tmp_path.iterdir())


def test_images_elsewhere_are_left_there_and_nothing_is_copied(tmp_path):
    write_devkit(tmp_path / "elsewhere", {"test": {"1": [("cat", False)]}})
    provide_images(Project(tmp_path), dataset("elsewhere"))
    (told,) = Project(tmp_path).raw("toy").iterdir()
    assert told.name == "in-place.txt"
    assert str(tmp_path) not in told.read_text()


def test_a_devkit_put_by_hand_where_the_download_would_go_is_used(tmp_path):
    root = write_devkit(Project(tmp_path).raw("voc2007"), {"test": {"1": [("cat", False)]}})
    before = sorted(root.rglob("*"))
    provide_images(Project(tmp_path), dataset(root, name="voc2007"))
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("there", [False, True])
def test_a_root_that_is_missing_or_empty_is_told_in_one_line(tmp_path, there):
    root = tmp_path / "nowhere"
    if there:
        root.mkdir()
    with pytest.raises(UserError, match=r"nowhere: no such folder, or an empty one; put the data set there"):
        provide_images(Project(tmp_path), dataset(root))
    assert not (tmp_path / "data").exists()


def listing(project: Project) -> str:
    return (project.raw("toy") / "listing.csv").read_text()


def test_a_folder_elsewhere_is_listed_where_that_is_wished(tmp_path):
    project, root = Project(tmp_path), tmp_path / "elsewhere"
    write_devkit(root, {"test": {"1": [("cat", False)]}})
    provide_images(project, dataset("elsewhere", listing=True))
    before = listing(project)
    provide_images(project, dataset("elsewhere", listing=True))
    assert listing(project) == before
    size = (root / "JPEGImages/1.jpg").stat().st_size
    assert f"JPEGImages/1.jpg,{size}," in before
    assert str(tmp_path) not in before
    os.utime(root / "JPEGImages/1.jpg", ns=(0, 12345))
    provide_images(project, dataset("elsewhere", listing=True))
    assert f"JPEGImages/1.jpg,{size},12345\n" in listing(project)
    provide_images(project, dataset("elsewhere"))
    assert not (project.raw("toy") / "listing.csv").exists()


def test_a_bucket_is_listed_by_size_and_etag(tmp_path, bucket):
    project = Project(tmp_path)
    for key in ("photos/b.jpg", "photos/a,1.jpg", "photos/.hidden"):
        bucket.put(key, b"12")
    images = dataset(f"{bucket}/photos", kind="images")
    provide_images(project, images)
    before = listing(project)
    etag = hashlib.md5(b"12").hexdigest()
    assert before == f'path,size,changed\n"a,1.jpg",2,{etag}\nb.jpg,2,{etag}\n'
    bucket.put("photos/b.jpg", b"12")
    provide_images(project, images)
    assert listing(project) == before
    bucket.put("photos/b.jpg", b"21")
    provide_images(project, images)
    assert listing(project) != before
    bucket.delete("photos/b.jpg")
    provide_images(project, images)
    assert "b.jpg" not in listing(project)


def test_of_a_web_server_the_named_files_are_listed(tmp_path, web):
    web.files["images.csv"] = b"path"
    images = dataset(str(web), kind="table", files={"train": "images.csv", "test": "images.csv"})
    provide_images(Project(tmp_path), images)
    before = listing(Project(tmp_path))
    assert before.startswith("path,size,changed\nimages.csv,4,")
    web.files["images.csv"] = b"path,cat"
    provide_images(Project(tmp_path), images)
    assert listing(Project(tmp_path)) != before
    with pytest.raises(UserError, match=r"dataset.files: http.*/none.csv: no such file"):
        provide_images(Project(tmp_path), dataset(str(web), kind="table", files="none.csv"))


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("s3://no-bucket-here/x", "no such bucket"),
        ("memory://x", "memory:// is not read"),
        ("EMPTY", "nothing lies"),
    ],
)
def test_a_place_that_is_none_is_told_in_one_line(tmp_path, bucket, root, words):
    with pytest.raises(UserError, match=words) as told:
        provide_images(Project(tmp_path), dataset(root.replace("EMPTY", f"{bucket}/empty"), kind="images"))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "data").exists()

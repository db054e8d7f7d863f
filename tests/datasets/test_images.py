from __future__ import annotations

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

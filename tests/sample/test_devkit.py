from __future__ import annotations

import hashlib
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.params import Sample
from pool5.sample.devkit import CLASSES, SPLITS, VERSION, draw_devkit, draw_image

SMALL = Sample(seed=3, train=24, val=4, test=20, source=20)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def annotations(root: Path, pattern: str = "*") -> dict[str, list[ET.Element]]:
    return {
        path.stem: ET.parse(path).getroot().findall("object")
        for path in sorted((root / "Annotations").glob(f"{pattern}.xml"))
    }


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "sample"
    draw_devkit(root, SMALL)
    return root


def test_the_same_seed_draws_the_same_bytes(devkit, tmp_path):
    draw_devkit(tmp_path / "again", SMALL)
    assert digests(tmp_path / "again") == digests(devkit)


def test_the_pictures_are_those_of_this_version_of_the_drawing():
    """The same on any machine. Another drawing needs another VERSION, or what is drawn already stays."""
    digests = [hashlib.sha256(draw_image(0, split, 1)[0].tobytes()).hexdigest()[:16] for split in SPLITS]
    assert (VERSION, digests) == (
        1,
        ["c6d8a937dff2c521", "c7feb514385ba93a", "9b64c1ac8d6dacbd", "84c026a9ca0cf861"],
    )


def test_another_seed_draws_other_images():
    first, second = (np.asarray(draw_image(seed, "train", 1)[0]) for seed in (0, 1))
    assert first.shape != second.shape or (first != second).any()


def test_more_images_of_one_split_leave_all_others_as_they_are(devkit, tmp_path):
    draw_devkit(tmp_path / "more", Sample(seed=3, train=25, val=4, test=20, source=20))
    before, after = digests(devkit), digests(tmp_path / "more")
    images = [name for name in before if name.startswith("JPEGImages")]
    assert [after[name] for name in images] == [before[name] for name in images]
    assert len(after) == len(before) + 2


def test_every_image_is_a_jpeg_of_200_to_500_pixels_a_side_as_its_annotation_says(devkit):
    for path in sorted((devkit / "JPEGImages").iterdir()):
        with Image.open(path) as image:
            size = ET.parse(devkit / "Annotations" / f"{path.stem}.xml").getroot().find("size")
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert all(200 <= side <= 500 for side in image.size)
            assert image.size == (int(size.findtext("width")), int(size.findtext("height")))


def test_the_lists_are_those_of_a_voc_devkit(devkit):
    lists = devkit / "ImageSets/Main"
    names = {
        split: (lists / f"{split}.txt").read_text().split()
        for split in ("train", "val", "trainval", "test", "source")
    }
    assert [len(ids) for ids in names.values()] == [24, 4, 28, 20, 20]
    assert names["trainval"] == names["train"] + names["val"]
    assert len(list(lists.iterdir())) == 5 * (1 + len(CLASSES))


def test_labels_say_present_absent_or_only_difficult_as_the_annotations_do(devkit):
    objects = annotations(devkit)
    for name in CLASSES:
        for split in ("trainval", "test"):
            for line in (devkit / f"ImageSets/Main/{name}_{split}.txt").read_text().splitlines():
                image_id, label = line.split()
                difficult = [o.findtext("difficult") for o in objects[image_id] if o.findtext("name") == name]
                assert int(label) == (-1 if not difficult else 1 if "0" in difficult else 0)


def test_a_scene_shows_one_to_four_objects_inside_the_image_and_one_of_them_is_easy_to_see():
    for number in range(1, 41):
        image, boxes = draw_image(0, "test", number)
        assert 1 <= len(boxes) <= 4
        assert not all(box.difficult for box in boxes)
        assert all(1 <= box.xmin <= box.xmax <= image.width for box in boxes)
        assert all(1 <= box.ymin <= box.ymax <= image.height for box in boxes)


def test_some_objects_are_difficult_and_those_are_small_or_mostly_hidden():
    area: dict[bool, list[float]] = {True: [], False: []}
    for number in range(1, 61):
        image, boxes = draw_image(0, "train", number)
        for box in boxes:
            share = (box.xmax - box.xmin) * (box.ymax - box.ymin) / (image.width * image.height)
            area[box.difficult].append(share)
    assert 0.02 < len(area[True]) / len(area[False]) < 0.4
    assert np.median(area[True]) < np.median(area[False]) / 4


def test_a_source_image_shows_one_object_and_twenty_of_them_show_every_class(devkit):
    objects = annotations(devkit, "source_*")
    assert {len(found) for found in objects.values()} == {1}
    assert {found[0].findtext("name") for found in objects.values()} == set(CLASSES)


def test_what_is_drawn_already_is_left_alone(devkit):
    before = {path: path.stat().st_mtime_ns for path in devkit.rglob("*")}
    draw_devkit(devkit, SMALL)
    assert {path: path.stat().st_mtime_ns for path in devkit.rglob("*")} == before


def test_other_counts_replace_the_whole_devkit(tmp_path):
    tiny = Sample(seed=0, train=2, val=1, test=1, source=1)
    draw_devkit(tmp_path / "sample", tiny)
    draw_devkit(tmp_path / "sample", Sample(seed=0, train=1, val=1, test=1, source=1))
    assert len(list((tmp_path / "sample/JPEGImages").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_a_folder_of_the_users_own_is_not_drawn_over(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/holiday.jpg").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"holds files that are not the drawn sample; .* dataset.sample: null"
    ):
        draw_devkit(tmp_path / "mine", SMALL)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "holiday.jpg"]


def test_what_a_kill_left_behind_is_cleared_by_the_next_run(devkit, tmp_path):
    shutil.copytree(devkit / "Annotations", tmp_path / ".sample.unfinished/Annotations")
    draw_devkit(tmp_path / "sample", Sample(seed=0, train=1, val=1, test=1, source=1))
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from checked import check_images
from devkit import closed, write_annotation, write_devkit, write_image
from PIL import Image

from pool5.datasets.image_check import BadImage, ImageFact
from pool5.datasets.inventory import take_inventory
from pool5.datasets.manifest import read_manifest
from pool5.datasets.passed_over import look_beside
from pool5.datasets.roots import open_tree
from pool5.errors import UserError
from pool5.images.image_formats import HEIF_SUFFIXES, SUFFIXES
from pool5.params import Dataset
from pool5.project import Project
from pool5.results.dataset import Contradiction, DatasetResult
from pool5.results.record import load_record


@pytest.fixture
def root(tmp_path) -> Path:
    return write_devkit(
        tmp_path / "kit",
        {
            "train": {"1": [("cat", False)], "2": [("dog", False), ("cat", True)], "3": [("dog", False)]},
            "test": {"4": [("cat", False)], "5": [("dog", True), ("cat", False)]},
            "source": {"6": [("cat", False)]},
        },
    )


def take(root: Path, on_bad_image: str = "fail", also: Sequence[str] = (), **changes: str) -> Project:
    settings = {"name": "toy", "kind": "voc", "root": str(root), "train": "train", "test": "test"}
    project = Project(root.parent / "out")
    take_inventory(project, Dataset(**(settings | changes)), on_bad_image, also)
    return project


def written_by(project: Project) -> dict[Path, bytes]:
    """The outputs; what is in .cache is none."""
    files = (path for folder in (project.data, project.reports) for path in folder.rglob("*"))
    return {path: path.read_bytes() for path in files if path.is_file()}


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_manifest_says_what_each_split_consists_of(root):
    manifest = read_manifest(take(root).manifest("train"))
    assert (manifest.split, manifest.classes) == ("train", ("cat", "dog"))
    assert list(manifest.ids) == ["1", "2", "3"]
    assert list(manifest.paths) == [f"JPEGImages/{i}.jpg" for i in manifest.ids]
    np.testing.assert_array_equal(manifest.labels, [[1, -1], [0, 1], [-1, 1]])
    np.testing.assert_array_equal(manifest.sizes, [[32, 24]] * 3)
    digest = hashlib.blake2b((root / "JPEGImages/2.jpg").read_bytes(), digest_size=16).digest()
    assert manifest.digests[1].tobytes() == digest


def test_every_split_that_is_named_has_a_manifest_and_no_other(root):
    assert {path.stem for path in take(root).manifests.glob("*.csv")} == {"train", "test", "objects", "looks"}
    named = {path.stem for path in take(root, also=["source"]).manifests.glob("*.csv")}
    assert named == {"train", "test", "source", "objects", "looks"}


def test_the_objects_are_listed_with_their_boxes(root):
    with take(root).objects.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert next(row for row in rows if row["id"] == "5") == {
        "id": "5", "class": "dog", "difficult": "1", "truncated": "0",
        "xmin": "3", "ymin": "4", "xmax": "20", "ymax": "18",
    }  # fmt: skip


def test_the_same_data_set_gives_the_same_bytes(root):
    assert written_by(take(root)) == written_by(take(root))


def test_no_absolute_path_gets_into_what_is_written(root):
    assert not any(str(root.parent).encode() in content for content in written_by(take(root)).values())


def test_the_metrics_count_positives_and_difficult(root):
    metrics = json.loads(take(root).metrics("dataset").read_text())
    assert metrics["test"] == {
        "images": 2, "unreadable": 0, "positives": {"cat": 2, "dog": 0}, "difficult": {"cat": 0, "dog": 1},
    }  # fmt: skip


def trained_on(root: Path, **changes: str) -> str:
    return (take(root, also=["source"], **changes).manifests / "training.json").read_text()


def test_a_trainings_digest_is_of_the_classes_the_files_digests_and_the_dense_labels(root):
    out = take(root)
    manifest = read_manifest(out.manifest("train"))
    labels = np.array([[1, -1], [0, 1], [-1, 1]], np.int8)
    content = json.dumps(["cat", "dog"]).encode() + manifest.digests.tobytes() + labels.tobytes()
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert json.loads((out.manifests / "training.json").read_text()) == {"train": expected}


def test_what_trainings_depend_on_changes_with_their_splits_and_not_with_the_test_split(root):
    before = trained_on(root)
    write_image(root / "JPEGImages/4.jpg", seed=99)
    assert trained_on(root) == before
    write_image(root / "JPEGImages/6.jpg", seed=99)
    assert trained_on(root) != before


def test_neither_where_a_data_set_lies_nor_what_it_is_called_decides_a_training_or_a_manifest(root):
    before = trained_on(root), take(root).manifest("train").read_bytes()
    moved = root.rename(root.with_name("elsewhere"))
    assert (
        trained_on(moved, name="other"),
        take(moved, name="other").manifest("train").read_bytes(),
    ) == before
    # a level higher, the paths are others, and the images the same
    assert trained_on(moved.rename(moved.parent / "VOC2012").parent) == before[0]


def test_a_jpeg_cut_in_half_stops_the_run_and_is_named(root):
    cut_in_half(root / "JPEGImages/4.jpg")
    with pytest.raises(
        UserError, match=r"1 image of 5 cannot be read: JPEGImages/4.jpg: damaged .*on_bad_image: skip"
    ):
        take(root)
    assert [path.name for path in (root.parent / "out").iterdir()] == [".cache"]


def test_a_jpeg_cut_in_half_is_left_out_and_named_where_the_user_says_so(root, caplog):
    cut_in_half(root / "JPEGImages/4.jpg")
    (root / "JPEGImages/2.jpg").unlink()
    out = take(root, "skip")
    assert list(read_manifest(out.manifest("test")).ids) == ["5"]
    assert list(read_manifest(out.manifest("train")).ids) == ["1", "3"]
    told = caplog.text
    assert "JPEGImages/4.jpg: damaged" in told
    assert "JPEGImages/2.jpg: cannot be read (No such file" in told
    found = load_record(DatasetResult, out.result("dataset"))
    assert [bad.id for bad in found.splits["test"].left_out] == ["4"]
    assert "split test: 1 of 2 images left out (1 damaged): JPEGImages/4.jpg: damaged" in found.gaps[1]
    assert "4" not in {line.partition(",")[0] for line in out.objects.read_text().splitlines()}


def test_many_bad_images_are_counted_in_one_line(root):
    for path in (root / "JPEGImages").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"5 images of 5 cannot be read") as caught:
        take(root)
    assert "\n" not in str(caught.value)


def test_a_split_of_which_no_image_can_be_read_is_refused_even_where_bad_images_are_left_out(root):
    for name in ("4", "5"):
        cut_in_half(root / f"JPEGImages/{name}.jpg")
    with pytest.raises(UserError, match=r"split test: none of its 2 images can be read"):
        take(root, "skip")


def test_contradicting_labels_are_told_and_written_down(root, caplog):
    write_annotation(root, "3", [("cat", False), ("dog", False)])
    out = take(root)
    assert "1 label in ImageSets/Main and Annotations disagree" in (told := caplog.text)
    assert "3 (cat -1, annotated 1)" in told
    found = load_record(DatasetResult, out.result("dataset")).disagreements
    assert found == (Contradiction(id="3", class_name="cat", listed=-1, annotated=1),)


def test_what_a_failed_run_finds_stays_as_it_was(root):
    out = take(root)
    before = out.manifest("test").read_bytes()
    cut_in_half(root / "JPEGImages/4.jpg")
    with pytest.raises(UserError):
        take(root)
    assert out.manifest("test").read_bytes() == before
    assert [path.name for path in sorted(out.manifests.parent.iterdir())] == ["manifest", "results"]


def test_folders_of_images_are_taken_in_the_same_way(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog, large/1.jpg", "test/cat/1.jpg"):
        write_image(tmp_path / "kit" / name)
    out = take(tmp_path / "kit", kind="folder")
    manifest = read_manifest(out.manifest("train"))
    assert list(manifest.ids) == ["cat/1.jpg", "dog, large/1.jpg"]
    assert out.objects.read_text() == "id,class,difficult,truncated,xmin,ymin,xmax,ymax\n"


def test_images_without_labels_are_taken_in_the_same_way(tmp_path):
    for seed in range(5):
        write_image(tmp_path / f"kit/{seed}.jpg", seed)
    out = take(tmp_path / "kit", kind="images")
    manifest = read_manifest(out.manifest("train"))
    assert (len(manifest), manifest.classes, manifest.labels.shape) == (4, (), (4, 0))
    metrics = json.loads(out.metrics("dataset").read_text())
    assert metrics["test"] == {"images": 1, "unreadable": 0, "positives": {}, "difficult": {}}


def test_the_size_is_that_of_the_file_before_it_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    fact = check_images(tmp_path, ["turned.jpg"])["turned.jpg"]
    assert isinstance(fact, ImageFact)
    assert fact.size == (40, 20)


def test_many_images_are_checked_in_several_processes_with_the_same_findings(tmp_path):
    paths = [f"{i}.png" for i in range(210)]
    for i, path in enumerate(paths):
        write_image(tmp_path / path, i)
    (tmp_path / "77.png").write_bytes(b"GIF89a")
    together, alone = check_images(tmp_path, paths), check_images(tmp_path, paths[70:80])
    assert list(together) == paths
    assert [path for path, fact in together.items() if isinstance(fact, BadImage)] == ["77.png"]
    assert all(together[path] == alone[path] for path in paths[70:80])


@pytest.fixture
def pets(tmp_path) -> Path:
    for split, names in (("train", ("cat", "Cat", "dog")), ("test", ("cat", "Cat", "dgo"))):
        for name in names:
            write_image(tmp_path / f"pets/{split}/{name}/0.png", len(split))
    return tmp_path / "pets"


def found(root: Path, **changes: str) -> DatasetResult:
    return load_record(DatasetResult, take(root, **({"kind": "folder"} | changes)).result("dataset"))


def test_what_lies_beside_the_images_is_counted_by_ending_and_by_reason_and_told(pets, caplog):
    write_image(pets / "backup/old/1.png")
    for name in ("a.psd", "b.PSD", "noending", "label.txt", ".hidden"):
        (pets / "train/cat" / name).write_bytes(b"?")
    (pets / "test/cat/gone.jpg").symlink_to(pets / "nowhere.jpg")
    (pets / "train/empty").mkdir()
    result = found(pets)
    assert {(part.reason, part.ending): (part.files, part.example) for part in result.passed_over} == {
        ("in no split that is read", ".png"): (1, "backup/old/1.png"),
        ("no ending of an image", ".psd"): (2, "train/cat/a.psd"),
        ("no ending of an image", ".txt"): (1, "train/cat/label.txt"),
        ("no ending of an image", ""): (1, "train/cat/noending"),
        ("no file, or a link that leads nowhere", ".jpg"): (1, "test/cat/gone.jpg"),
    }
    line = "passed over, no ending of an image: 4 (2 .psd, 1 without an ending, 1 .txt), such as"
    assert any(gap.startswith(line) for gap in result.gaps)
    assert all(caplog.messages.count(gap) == 1 for gap in result.gaps)
    assert result.classes == ("Cat", "cat", "dgo", "dog")


def test_photographs_that_a_package_is_missing_for_are_told_apart(pets, monkeypatch):
    monkeypatch.setattr("pool5.datasets.image_tree.SUFFIXES", SUFFIXES - HEIF_SUFFIXES)
    for name in ("IMG_1.heic", "IMG_2.HEIC", "notes.txt"):
        (pets / "train/cat" / name).write_bytes(b"?")
    line = "passed over, read by a package that is not installed (pip install pillow-heif, or 'pool5[heif]')"
    assert f"{line}: 2 (2 .heic), such as train/cat/IMG_1.heic" in found(pets).gaps


def test_class_names_that_may_be_mistakes_are_told(pets):
    for split in ("train", "test"):
        for form in ("caf\xe9", "cafe\u0301"):
            write_image(pets / split / form / "0.png")
    gaps = "\n".join(found(pets).gaps)
    assert "differ in case or form alone: 'Cat' and 'cat'" in gaps
    assert r"differ in case or form alone: 'cafe\u0301' and 'caf\xe9'" in gaps
    assert "1 class with images in train and none in test: dog" in gaps
    assert "1 class with images in test and none in train: dgo" in gaps


def test_links_to_folders_elsewhere_are_told_as_changes_behind_them_go_unseen(pets, tmp_path):
    assert "behind links" not in "\n".join(found(pets).gaps)
    write_image(tmp_path / "store/1.png")
    write_image(pets / "pool/1.png")
    for link, target in (
        ("cow", tmp_path / "store"),
        ("cat/more", tmp_path / "store"),
        ("pig", pets / "pool"),
    ):
        (pets / "train" / link).symlink_to(target)
    result = found(pets)
    assert "changes behind links to other folders go unseen (train/cat/more, train/cow)" in "\n".join(
        result.gaps
    )
    # read through a link: not passed over where it lies
    assert result.passed_over == ()
    assert result.splits["train"].positives == {"Cat": 1, "cat": 2, "cow": 1, "dgo": 0, "dog": 1, "pig": 1}


def test_a_folder_that_cannot_be_read_is_refused_wherever_it_lies(readable_by_others):
    for name in ("train", "test"):
        write_image(readable_by_others / f"kit/{name}/cat/0.png")
    (readable_by_others / "kit/private").mkdir()
    with (
        closed(readable_by_others / "kit/private"),
        pytest.raises(UserError, match=r"private: cannot be read \(Permission denied\); make it readable"),
    ):
        found(readable_by_others / "kit")


def test_images_of_a_devkit_that_no_list_of_a_split_names_are_told(root):
    assert found(root, kind="voc").passed_over[0].reason == "in no split that is read"
    assert found(root, kind="voc", val="source").passed_over == ()


def test_where_the_root_is_counted_from_makes_no_difference(root, monkeypatch):
    pictures = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    monkeypatch.chdir(root.parent)
    dataset = Dataset(name="toy", kind="voc", root=root.name, train="train", test="test")
    (part,) = look_beside(open_tree(root.name), dataset, pictures[1:])
    assert (part.files, part.example) == (1, pictures[0])


@pytest.mark.long
def test_forty_thousand_files_are_taken_in_one_run(tmp_path):
    write_image(tmp_path / "one.png")
    for number in range(40_000):
        path = tmp_path / f"kit/{'test' if number % 4 == 0 else 'train'}/{number % 100:02d}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(tmp_path / "one.png")
    result = found(tmp_path / "kit")
    assert {split: part.images for split, part in result.splits.items()} == {"train": 30_000, "test": 10_000}
    assert (len(result.classes), result.passed_over) == (100, ())

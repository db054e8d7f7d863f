"""`pool5 init` on every kind of images; what it writes is what `pool5 check` calls sound and DVC reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pool5.datasets.recognize import recognize
from pool5.errors import UserError
from pool5.params import load_params

ROOT = Path(__file__).resolve().parents[2]


def pool5(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pool5", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder)},
    )


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "red").save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    draw(*(tmp_path / "photos" / f"{number}.jpg" for number in range(5)))
    return tmp_path


def test_a_project_for_a_folder_of_photographs(photos: Path) -> None:
    told = pool5(photos, "init")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "params.yaml: for 5 images without labels",
        "next: dvc repro, then open reports/index.html",
    ]
    params = load_params(photos / "params.yaml")
    assert (params.dataset.kind, params.dataset.root) == ("images", "photos")
    assert (params.probe, params.ap.of) == ({}, ())
    assert (photos / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    for name in ("recipes.yaml", ".dvc/plots/precision_recall.json"):
        assert (photos / name).read_bytes() == (ROOT / name).read_bytes()
    assert pool5(photos, "check").returncode == 0
    stages = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list"], cwd=photos, capture_output=True, text=True, check=True
    )
    assert "extract@mobilenet_v2" in stages.stdout
    names = ["data/features", "reports/x", ".cache/features", "photos"]
    ask = ["git", "check-ignore", *names]
    done = subprocess.run(ask, cwd=photos, capture_output=True, text=True, check=True)
    assert done.stdout.split() == names[:3]


def test_what_is_there_stays(photos: Path) -> None:
    (photos / "params.yaml").write_text("mine")
    (photos / ".gitignore").write_text("mine")
    told = pool5(photos, "init")
    assert "params.yaml is there already and stays as it is" in told.stdout
    assert [(photos / name).read_text() for name in ("params.yaml", ".gitignore")] == ["mine", "mine"]


def test_a_project_of_another_version_is_refused_until_it_is_updated(photos: Path) -> None:
    pool5(photos, "init")
    recipes = photos / "recipes.yaml"
    recipes.write_text(recipes.read_text().replace("tsne: {version: ", "tsne: {version: 9"))
    for command in (["-m", "pool5", "check"], ["-m", "pool5.stages.params"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=photos, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "run `pool5 init --update`" in done.stderr
    assert pool5(photos, "init", "--update").stdout == "recipes.yaml: renewed\n"
    assert pool5(photos, "check").returncode == 0
    assert "already" in pool5(photos, "init", "--update").stdout


def test_update_asks_for_a_project(tmp_path: Path) -> None:
    told = pool5(tmp_path, "init", "--update")
    assert (told.returncode, told.stderr.count("\n"), list(tmp_path.iterdir())) == (2, 1, [])


def test_without_images_the_project_is_that_of_the_sample(tmp_path: Path) -> None:
    told = pool5(tmp_path, "init", "new")
    assert "the program draws itself" in told.stdout
    assert "next: cd new && dvc repro" in told.stdout
    assert load_params(tmp_path / "new/params.yaml").dataset.name == "sample"


def test_images_elsewhere_and_inside_another_repository(photos: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=photos, check=True)
    told = pool5(photos, "init", "deep/project", "--images", "photos")
    assert told.returncode == 0, told.stderr
    assert load_params(photos / "deep/project/params.yaml").dataset.root == str(photos / "photos")
    assert not (photos / "deep/project/.git").exists()
    assert (photos / "deep/project/.dvc/config").is_file()


def test_a_folder_without_images_is_refused_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for images in ("empty", "nowhere"):
        told = pool5(tmp_path, "init", "project", "--images", images)
        assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_shell_runs_in_another_folder_as_git_does(photos: Path) -> None:
    pool5(photos, "init")
    assert pool5(Path(os.sep), "-C", photos, "check").returncode == 0
    told = pool5(photos, "-C", "nowhere", "check")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    draw(*(tmp_path / "drawn" / name for name in ("cat/1.jpg", "dog/2.png")))
    draw(*(tmp_path / "split" / name for name in ("train/cat/1.jpg", "val/cat/2.png")))
    (tmp_path / "voc/VOC2012/ImageSets/Main").mkdir(parents=True)
    for name in ("trainval", "train", "val", "cat_train"):
        (tmp_path / f"voc/VOC2012/ImageSets/Main/{name}.txt").touch()
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed/images.csv").write_text("path,cat\n")
    draw(*(tmp_path / "counted" / name for name in ("cat/1.jpg", "dog/2.png")))
    pq.write_table(pa.table({"class": ["cat", "dog"], "images": [1, 1]}), tmp_path / "counted/images.parquet")
    draw(*(tmp_path / "train-only" / name for name in ("train/cat/1.jpg", "train/dog/2.png")))
    (tmp_path / "train-list").mkdir()
    (tmp_path / "train-list/images.csv").write_text("path,split\n1.jpg,trainval\n2.jpg,trainval\n")
    draw(*(tmp_path / "plain" / name for name in ("train/1.jpg", "test/2.png")))
    draw(*(tmp_path / "flat" / name for name in ("1.jpg", "2.jpg", "3.jpg")))
    draw(*(tmp_path / "exported" / name for name in ("train/1.jpg", "valid/2.jpg")))
    for name in ("flat/1.xml", "flat/2.xml", "exported/train/1.xml", "exported/valid/2.xml"):
        (tmp_path / name).write_text("<annotation/>")
    for name, image in (
        ("beside", "photos/1.jpg"),
        ("unrelated", "1.jpg"),
    ):  # whose table names what is there
        draw(tmp_path / name / "photos/1.jpg")
        (tmp_path / name / "list.csv").write_text(f"file_name,labels\n{image},cat;dog\n")
    found = {path.stem: recognize(path) for path in tmp_path.iterdir()}
    assert {name: (seen.kind, seen.train, seen.test) for name, seen in found.items()} == {
        "drawn": ("folder", "train", "test"),
        "split": ("folder", "train", "val"),
        "voc": ("voc", "train", "val"),  # trainval would hold what is tested on
        "listed": ("table", "train", "test"),
        "counted": ("folder", "train", "test"),  # a table that names no images
        "train-only": ("folder", "train", "test"),  # which is drawn
        "train-list": ("table", "trainval", "test"),
        "plain": ("images", "train", "test"),
        "beside": ("table", "train", "test"),
        "unrelated": ("folder", "train", "test"),
        "flat": ("voc", "train", "test"),
        "exported": ("voc", "train", "valid"),
    }
    assert found["drawn"].described == "2 images in 2 folders, which are taken for classes"
    assert found["train-only"].described == "2 images in the split train, 2 classes by folder"
    assert found["beside"].files == "list.csv"
    assert found["beside"].columns == {"image": "file_name", "labels": "labels", "separator": ";"}


def test_a_table_that_names_no_images_is_told_with_its_columns(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("picture;label\n1.jpg;cat\n")
    with pytest.raises(UserError, match=r"it has the columns picture;label; one of images is called path"):
        recognize(tmp_path / "list.csv")

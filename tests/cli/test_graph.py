"""The graph of images that are listed, where DVC cannot watch them or shall not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from pool5.cli.check import check
from pool5.cli.upkeep import graph_for, shipped, unnoticed_files
from pool5.params import Dataset, read_params
from pool5.project import Project

HERE = Dataset(name="toy", kind="images", root="images", train="train", test="test")
FAR = Dataset(name="toy", kind="images", root="s3://bucket/images", train="train", test="test")
LISTED = Dataset(name="toy", kind="images", root="images", train="train", test="test", listing=True)
MODELS = """
models:
  net:
    {architecture: resnet18, weights: random, layers: {pooled: flatten}, preprocess: {resize: 36, crop: 32}}
"""


def write_project(folder: Path, root: str, graph: str, further: str = "") -> Project:
    folder.mkdir(exist_ok=True)
    section = f"dataset: {{name: toy, kind: images, root: '{root}', train: train, test: test{further}}}"
    (folder / "params.yaml").write_text(section + MODELS)
    (folder / "dvc.yaml").write_text(graph)
    (folder / "recipes.yaml").write_text(shipped("recipes.yaml"))
    return Project(folder)


def test_the_graph_of_a_local_folder_is_the_one_that_is_shipped():
    assert graph_for(HERE) == shipped("graph.yaml")


@pytest.mark.parametrize("dataset", [FAR, LISTED])
def test_listed_images_are_listed_each_time_and_their_list_is_watched(dataset):
    text, usual = graph_for(dataset), shipped("graph.yaml")
    graph, stages = yaml.safe_load(text), yaml.safe_load(usual)["stages"]
    assert graph["stages"]["images"].pop("always_changed") is True
    assert "${dataset.root}" not in text
    stages["dataset"]["deps"].remove("${dataset.root}")
    assert graph["stages"] == stages
    assert [line for line in usual.splitlines() if "#" in line] == [
        line for line in text.splitlines() if "#" in line and "always_changed" not in line
    ]


@pytest.mark.parametrize(
    ("root", "further", "right", "wrong"),
    [
        ("s3://bucket/images", "", FAR, HERE),
        ("images", ", listing: true", LISTED, HERE),
        ("images", "", HERE, LISTED),
    ],
)
def test_a_graph_that_would_overlook_changed_images_is_told(tmp_path, root, further, right, wrong):
    project = write_project(tmp_path, root, graph_for(right), further)
    assert not list(unnoticed_files(read_params(project.params), project))
    project.graph.write_text(graph_for(wrong))
    (told,) = unnoticed_files(read_params(project.params), project)
    assert told.startswith(f"dataset.root: {root}: changed images would not be noticed")
    assert told.endswith("or run `pool5 init --update`") or told.endswith("; run `pool5 init --update`")


def test_check_lists_a_bucket_and_fetches_no_image(tmp_path, bucket):
    for number in range(12):
        bucket.put(f"images/{number}.jpg", b"no image")
    project = write_project(tmp_path, f"{bucket}/images", graph_for(FAR))
    told = CliRunner().invoke(check, [str(project.params)])
    assert told.exit_code == 0, told.output
    assert "sound" in told.output


@pytest.mark.parametrize(
    ("root", "words"),
    [("s3://no-bucket-here/x", "no such bucket"), ("memory://x", "dataset.root: memory:// is not read")],
)
def test_check_tells_a_place_that_is_none(tmp_path, bucket, root, words):
    project = write_project(tmp_path, root, graph_for(FAR))
    told = CliRunner().invoke(check, [str(project.params)])
    assert told.exit_code == 2
    assert words in told.output


@pytest.mark.slow
def test_a_changed_bucket_is_read_again_and_an_unchanged_one_is_not(tmp_path, bucket):
    for number in range(12):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / "image.png")
        bucket.put(f"images/{number}.png", (tmp_path / "image.png").read_bytes())
    project = write_project(tmp_path / "project", f"{bucket}/images", graph_for(FAR))

    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(
            command, cwd=project.root, capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    dvc("init", "--no-scm", "--quiet")
    assert "Running stage 'dataset'" in dvc("repro", "dataset")
    again = dvc("repro", "dataset")
    assert "Running stage 'images'" in again
    assert "Running stage 'dataset'" not in again
    bucket.put("images/0.png", (tmp_path / "image.png").read_bytes())
    assert "Running stage 'dataset'" in dvc("repro", "dataset")
    manifests = project.manifest("train").read_text() + project.manifest("test").read_text()
    assert manifests.count(".png") == 12

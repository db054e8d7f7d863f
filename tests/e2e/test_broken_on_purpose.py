"""Whatever a user breaks gives one line that says what to do, and leaves nothing half-written."""

from __future__ import annotations

import pytest
from project import Project, small_params

pytestmark = pytest.mark.slow

VOC = "data/raw/own/VOCdevkit/VOC2012"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Project:
    """A project whose sample is drawn and nothing more."""
    project = Project.copy_to(tmp_path_factory.mktemp("drawn"), small_params())
    done = project.repro("dataset")
    assert done.code == 0, done.err
    return project


@pytest.fixture
def project(drawn, tmp_path) -> Project:
    """A copy of it whose data set is a plain folder of the user's, free to be broken."""
    copy = Project.copy_to(tmp_path / "clone", small_params())
    copy.run("cp", "-rL", str(drawn.folder / "data/raw/sample"), str(copy.folder / "own"))
    copy.run("chmod", "-R", "u+w", "own")
    copy.set(dataset__name="own", dataset__root="own", dataset__sample=None)
    return copy


def complaint(project: Project, *stages: str) -> str:
    done = project.repro(*(stages or ["dataset"]))
    assert done.code != 0
    assert not (project.folder / "data/manifest").exists()
    return done.complaint


def only(project: Project, pattern: str):
    return sorted((project.folder / "own").rglob(pattern))[0]


def test_a_data_set_of_the_users_own_runs(project):
    assert project.repro("dataset").code == 0


def test_a_missing_root(project):
    project.set(dataset__root="nowhere")
    assert "nowhere" in complaint(project)


def test_an_empty_split(project):
    for path in (project.folder / "own").rglob("ImageSets/Main/test.txt"):
        path.write_text("")
    assert "test" in complaint(project)


def test_a_split_that_is_not_there_lists_those_that_are(project):
    project.set(dataset__test="tset")
    message = complaint(project)
    assert "tset" in message
    assert "trainval" in message


def test_a_typo_in_a_class_name(project):
    annotation = only(project, "Annotations/test_*.xml")
    name = annotation.read_text().partition("<name>")[2].partition("</name>")[0]
    annotation.write_text(annotation.read_text().replace(f"<name>{name}</name>", f"<name>{name}x</name>"))
    assert f"{name}x" in complaint(project)


def test_a_jpeg_cut_in_half(project):
    photo = only(project, "JPEGImages/test_*.jpg")
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    assert photo.name in complaint(project)


def test_a_jpeg_cut_in_half_is_left_out_and_named_where_the_user_says_so(project):
    photo = only(project, "JPEGImages/test_*.jpg")
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    project.set(extract__on_bad_image="skip")
    done = project.repro("dataset")
    assert done.code == 0, done.err
    assert photo.name in done.err
    assert photo.stem not in (project.folder / "data/manifest/test.csv").read_text()


def test_a_label_file_with_a_wrong_id(project):
    labels = only(project, "ImageSets/Main/cat_test.txt")
    labels.write_text(labels.read_text() + "no_such_image  1\n")
    assert "no_such_image" in complaint(project)


def test_imagenet_weights_without_a_network_say_where_to_put_the_file(project, tmp_path):
    project.set(models__caffenet__architecture="resnet18", models__caffenet__weights="imagenet")
    project.set(
        models__caffenet__layers={"pool5": "flatten", "fc6": "flatten", "fc7": "flatten", "logits": "fc"}
    )
    # a proxy that refuses: the same as no network, and at once
    refused = "http://127.0.0.1:9"
    done = project.repro("model@caffenet", TORCH_HOME=str(tmp_path), https_proxy=refused, HTTPS_PROXY=refused)
    assert done.code != 0
    assert "resnet18" in done.complaint
    assert str(tmp_path) in done.complaint
    assert not (project.folder / "data/models/caffenet").exists()


def test_a_typo_in_params_is_told_before_anything_runs(project):
    project.set(tsne__perplexty=30)
    done = project.run("pool5", "check")
    assert done.code == 2
    assert "tsne.perplexty: unknown key (did you mean perplexity?)" in done.complaint

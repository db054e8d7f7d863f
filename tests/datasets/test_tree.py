"""What a walk through a folder finds, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from devkit import closed
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tree import MemoryTree

from pool5.datasets.tree import LocalTree
from pool5.datasets.walk import is_aside
from pool5.errors import UserError


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def files(root: Path) -> list[str]:
    return list(LocalTree(str(root)).files)


def refusal(root: Path) -> str:
    with pytest.raises(UserError) as told:
        files(root)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_files_are_sorted_and_what_systems_leave_behind_is_aside(tmp_path):
    aside = [
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "._1.jpg",
        "__MACOSX/1.jpg",
        "@eaDir/1.jpg",
        ".trash/1.jpg",
    ]
    write(tmp_path, "b/1.jpg", "a b/1.jpg", "a/1.jpg", "a.txt", *aside, *(f"b/{name}" for name in aside))
    assert files(tmp_path) == sorted(["a b/1.jpg", "a.txt", "a/1.jpg", "b/1.jpg"])


def test_it_is_listed_once(tmp_path):
    tree = LocalTree(str(write(tmp_path, "1.jpg")))
    assert len(tree.files) == 1
    write(tmp_path, "2.jpg")
    assert len(tree.files) == 1


def test_a_link_to_a_folder_elsewhere_is_followed_and_named(tmp_path):
    write(tmp_path, "root/1.jpg", "more/2.jpg", "store/3.jpg")
    (tmp_path / "root/more").symlink_to(tmp_path / "more")
    (tmp_path / "more/store").symlink_to(tmp_path / "store")
    tree = LocalTree(str(tmp_path / "root"))
    assert list(tree.files) == ["1.jpg", "more/2.jpg", "more/store/3.jpg"]
    assert list(tree.links) == ["more", "more/store"]


def test_what_a_link_finds_in_the_tree_anyway_is_there_once_and_under_the_link_where_only_that_is_read(
    tmp_path,
):
    write(tmp_path, "pool/1.jpg", "train/cat/2.jpg")
    (tmp_path / "train/pig").symlink_to(tmp_path / "pool")
    write(tmp_path, "train/cat/deep/3.jpg")
    (tmp_path / "train/cat/again").symlink_to(tmp_path / "train/cat/deep")
    tree = LocalTree(str(tmp_path))
    assert list(tree.files) == ["pool/1.jpg", "train/cat/2.jpg", "train/cat/deep/3.jpg"]
    assert list(tree.under("train")) == ["train/cat/2.jpg", "train/cat/deep/3.jpg", "train/pig/1.jpg"]
    assert list(tree.under("train/pig")) == ["train/pig/1.jpg"]
    assert tree.subfolders("train") == ["cat", "pig"]
    assert tree.home("train/pig/1.jpg") == "pool/1.jpg"
    assert tree.links == []


def test_a_link_into_a_hidden_folder_of_the_tree_is_followed(tmp_path):
    write(tmp_path, ".store/1.jpg")
    (tmp_path / "a").symlink_to(tmp_path / ".store")
    assert files(tmp_path) == ["a/1.jpg"]


@pytest.mark.parametrize("target", ["root", "root/a", "."])
def test_a_link_to_a_folder_that_it_lies_in_is_a_loop(tmp_path, target):
    write(tmp_path, "root/a/1.jpg")
    (tmp_path / "root/a/link").symlink_to(tmp_path / target)
    told = refusal(tmp_path / "root")
    assert "root/a/link: a link to" in told
    assert "a loop; remove the link" in told


def test_a_loop_outside_of_the_root_is_one_too(tmp_path):
    write(tmp_path, "root/1.jpg", "more/2.jpg")
    (tmp_path / "root/more").symlink_to(tmp_path / "more")
    (tmp_path / "more/back").symlink_to(tmp_path / "root")
    assert "root/more/back: a link to" in refusal(tmp_path / "root")


def test_two_folders_that_link_to_each_other_are_a_loop_where_one_is_read(tmp_path):
    write(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/to").symlink_to(tmp_path / "b")
    (tmp_path / "b/to").symlink_to(tmp_path / "a")
    tree = LocalTree(str(tmp_path))
    assert list(tree.files) == ["a/1.jpg", "b/2.jpg"]
    with pytest.raises(UserError, match="a loop; remove the link"):
        tree.under("a")


def test_links_that_lead_nowhere_and_to_themselves_are_no_files(tmp_path):
    write(tmp_path, "1.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    tree = LocalTree(str(tmp_path))
    assert (list(tree.files), list(tree.nowhere)) == (["1.jpg"], ["gone.jpg", "self.jpg"])


def test_a_folder_that_cannot_be_read_is_refused(readable_by_others):
    write(readable_by_others, "a/b/1.jpg")
    with closed(readable_by_others / "a/b"):
        assert "a/b: cannot be read (Permission denied); make it readable, or move it" in refusal(
            readable_by_others
        )


@pytest.mark.parametrize("name", ["a.jpg#xywh=1,2,3,4", "a.tar#b@1+2", "a.parquet#image/12"])
def test_a_file_whose_name_means_a_part_of_another_is_refused(tmp_path, name):
    write(tmp_path, name)
    assert "its name is that of a part of another file; rename it" in refusal(tmp_path)


def test_a_number_sign_in_a_name_is_none(tmp_path):
    assert files(write(tmp_path, "a#1.jpg")) == ["a#1.jpg"]


@pytest.mark.parametrize("root", ["nowhere", "file"])
def test_a_root_that_is_no_folder(tmp_path, root):
    write(tmp_path, "file")
    assert f"{root}: no such folder; put the data set there" in refusal(tmp_path / root)


_NAME = st.text(st.sampled_from("ab .-0/"), min_size=1, max_size=6).filter(
    lambda text: all(part.strip() == part != "" for part in text.split("/"))
)


@settings(max_examples=60, deadline=None)
@given(st.sets(_NAME, max_size=12), _NAME)
def test_what_is_under_a_folder_is_what_begins_with_it(names, folder):
    tree = MemoryTree({"x": b""} | dict.fromkeys(names, b""))
    assert list(tree.under(folder)) == sorted(name for name in names if name.startswith(f"{folder}/"))
    assert tree.subfolders("") == sorted({name.split("/")[0] for name in names if "/" in name})


@settings(max_examples=40, deadline=None)
@given(st.sets(_NAME, max_size=12))
def test_a_walk_finds_what_pathlib_finds(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("walk")
    for name in sorted(names, key=len, reverse=True):
        if not (root / name).exists() and not any(parent.is_file() for parent in (root / name).parents):
            write(root, name)
    there = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert files(root) == sorted(path.as_posix() for path in there if not any(map(is_aside, path.parts)))

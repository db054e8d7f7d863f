from __future__ import annotations

import logging

import pytest

from pool5.datasets.remote_tree import RemoteTree
from pool5.datasets.roots import open_tree
from pool5.errors import UserError
from pool5.files.remote_errors import Unreachable


def test_a_bucket_is_a_tree_without_hidden_files_and_those_of_systems(bucket):
    for key in ("b/2.jpg", "b/1.jpg", "a.csv", ".git/x", "b/.DS_Store", "__MACOSX/b/1.jpg", "c/"):
        bucket.put(f"photos/{key}", b"" if key.endswith("/") else key.encode())
    bucket.put("photos.jpg", b"beside")
    tree = open_tree(f"{bucket}/photos/")
    assert isinstance(tree, RemoteTree)
    assert list(tree.files) == ["a.csv", "b/1.jpg", "b/2.jpg"]
    assert tree.where("a.csv") == f"{bucket}/photos/a.csv"
    assert tree.read("a.csv") == b"a.csv"
    with tree.open("b/1.jpg") as file:
        file.seek(2)
        assert file.read() == b"1.jpg"
    assert tree.stamp("b/1.jpg")[0] == 7


def test_keys_that_are_no_paths_are_left_out_and_told(bucket, caplog):
    for key in ("a//b.jpg", "../c.jpg", "d.jpg"):
        bucket.put(f"x/{key}", b"1")
    with caplog.at_level(logging.WARNING, "pool5"):
        assert list(open_tree(f"{bucket}/x").files) == ["d.jpg"]
    assert "left out: 2 keys that can be no path, as '../c.jpg'" in caplog.text


def test_a_stamp_is_another_one_when_the_bytes_are(bucket):
    bucket.put("x", b"12")
    before, same = open_tree(str(bucket)).stamp("x"), open_tree(str(bucket)).stamp("x")
    bucket.put("x", b"21")
    assert before == same != open_tree(str(bucket)).stamp("x")
    assert open_tree(str(bucket)).stamp("nothing") is None
    assert open_tree(str(bucket)).stamp(f"{bucket}/x") is None


def test_what_is_not_there_is_told(bucket):
    with pytest.raises(FileNotFoundError):
        open_tree(str(bucket)).read("nothing")
    with pytest.raises(FileNotFoundError):
        open_tree(str(bucket)).open("nothing")
    with pytest.raises(UserError, match=r"dataset.root: s3://.*/nowhere: nothing lies there; mend"):
        _ = open_tree(f"{bucket}/nowhere").files
    with pytest.raises(Unreachable, match=r"s3://no-bucket-here: no such bucket"):
        _ = open_tree("s3://no-bucket-here").files


@pytest.mark.parametrize("root", ["s3://", "s3:///", "https://"])
def test_a_scheme_alone_is_no_root(root):
    with pytest.raises(UserError, match=f"dataset.root: {root}: names no bucket"):
        open_tree(root)


def test_a_web_server_is_read_by_name_and_not_listed(web):
    web.files["a.csv"] = b"path"
    tree = open_tree(str(web))
    assert tree.read("a.csv") == b"path"
    assert tree.stamp("a.csv") is None
    with pytest.raises(UserError, match=r"a web server has no list of its files; use kind table, coco or"):
        _ = tree.files
    web.busy["a.csv"], web.status = 1, 403
    with pytest.raises(UserError, match=r"/a.csv: cannot be read \(forbidden\)"):
        tree.read("a.csv")

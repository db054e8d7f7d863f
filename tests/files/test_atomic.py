from __future__ import annotations

import os
from pathlib import Path

import pytest

from pool5.files.atomic import write_text


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_whole_with_its_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "whole\n")
    assert path.read_text() == "whole\n"
    assert names_in(path.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half" * 9999 + "\ud800")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_the_new_file_has_the_mode_that_the_umask_gives(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_file_linked_from_a_cache_is_replaced_not_edited(tmp_path):
    cached, path = tmp_path / "cached", tmp_path / "a.txt"
    cached.write_text("cached")
    path.hardlink_to(cached)
    write_text(path, "new")
    assert cached.read_text() == "cached"

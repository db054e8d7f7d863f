"""What was found in images stays known, as long as nothing says that they may be others."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from devkit import write_image

from pool5.datasets import image_check, known_images
from pool5.datasets.image_facts import BadImage, Facts
from pool5.datasets.known_images import know_images
from pool5.datasets.tree import LocalTree
from pool5.errors import UserError

NAMES = [f"{number}.png" for number in range(6)]


class Folder:
    """Some images, and what is known of them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.kept = root / "images", root / "cache/images.known"
        self.read: list[str] = []
        check = image_check._check
        monkeypatch.setattr(image_check, "_check", lambda task, budget: self.note(check, task, budget))
        monkeypatch.setattr("pool5.files.kept._RACY", 0)
        for seed, name in enumerate(NAMES):
            write_image(self.root / name, seed)

    def note(self, check, task, budget):
        self.read.append(task[1])
        return check(task, budget)

    def know(self, names: list[str] = NAMES) -> tuple[Facts, list[str]]:
        """What is known, and the images that were read for it."""
        self.read.clear()
        return know_images(LocalTree(str(self.root)), names, self.kept), list(self.read)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def test_nothing_is_read_where_nothing_has_changed_and_the_same_is_known(folder):
    first, read = folder.know()
    assert read == NAMES
    again, read = folder.know()
    assert read == []
    assert dict(again) == dict(first)


def test_only_what_is_new_renamed_replaced_or_touched_is_read(folder):
    folder.know()
    write_image(folder.root / "new.png", 77)
    (folder.root / "1.png").rename(folder.root / "renamed.png")
    write_image(folder.root / "2.png", 78)
    (folder.root / "3.png").touch()
    names = ["0.png", "2.png", "3.png", "4.png", "5.png", "new.png", "renamed.png"]
    _, read = folder.know(names)
    assert read == ["2.png", "3.png", "new.png", "renamed.png"]
    assert folder.know(names)[1] == []


def test_a_file_of_the_same_size_and_time_is_known_for_another_one(folder):
    path = folder.root / "0.png"
    before = path.stat()
    facts, _ = folder.know()
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    again, read = folder.know()
    assert read == ["0.png"]
    assert (again.digests != facts.digests).any(axis=1).tolist() == [True] + 5 * [False]


def test_an_edit_within_the_same_tick_is_not_missed_as_young_stamps_are_not_trusted(folder, monkeypatch):
    monkeypatch.setattr("pool5.files.kept._RACY", 2 * 10**9)
    assert folder.know()[1] == folder.know()[1] == NAMES
    later = time.time_ns() + 3 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert folder.know()[1] == NAMES
    assert folder.know()[1] == []


def test_what_gave_no_image_is_read_again_and_told_again(folder):
    (folder.root / "2.png").write_bytes(b"GIF89a")
    (folder.root / "4.png").unlink()
    for read in (NAMES, ["2.png", "4.png"]):
        facts, found = folder.know()
        assert found == read
        assert [bad.path for bad in facts.bad_images] == ["2.png", "4.png"]
        assert isinstance(facts["2.png"], BadImage)


def test_doubts_are_kept_with_their_images(folder, monkeypatch):
    found = image_check.find_facts

    def doubted(*arguments):
        for fact in found(*arguments):
            yield (
                fact
                if fact.digest[0] % 2
                else dataclasses.replace(fact, doubt="odd", turned=True, note="noted")
            )

    monkeypatch.setattr(known_images, "find_facts", doubted)
    first, _ = folder.know()
    assert 0 < len(first.told("doubt")["odd"]) <= len(NAMES)
    again, read = folder.know(NAMES[::-1])
    assert read == []
    assert dict(again) == dict(first)


@pytest.mark.parametrize("size", [0, 31, 40, 300])
def test_a_damaged_file_is_as_if_there_was_none(folder, size):
    folder.know()
    data = folder.kept.read_bytes()
    folder.kept.write_bytes(data[:size])
    assert folder.know()[1] == NAMES
    folder.kept.write_bytes(data[:-size] + bytes(size) if size else b"x" + data[1:])
    assert folder.know()[1] == NAMES
    assert folder.know()[1] == []


def test_without_the_file_or_with_another_decoder_all_are_read(folder, monkeypatch):
    folder.know()
    folder.kept.unlink()
    assert folder.know()[1] == NAMES
    monkeypatch.setattr(known_images, "checked_by", lambda: "pillow 99")
    assert folder.know()[1] == NAMES


def test_images_that_are_asked_for_no_more_are_forgotten(folder):
    folder.know()
    large = folder.kept.stat().st_size
    assert folder.know(NAMES[:2])[1] == []
    assert folder.kept.stat().st_size < large
    assert folder.know()[1] == NAMES[2:]


def test_what_was_read_before_an_error_is_kept(folder, monkeypatch):
    check = image_check._check
    monkeypatch.setattr(known_images, "_BLOCK", 2)

    def killed(task, budget):
        if task[1] == "4.png":
            raise KeyboardInterrupt
        return check(task, budget)

    with monkeypatch.context() as patch:
        patch.setattr(image_check, "_check", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.know()
    assert folder.know()[1] == ["4.png", "5.png"]


def test_images_that_take_too_much_memory_stop_it_each_time(folder):
    for _ in range(2):
        with pytest.raises(UserError, match=r"^0\.png .*raise extract\.memory_gb"):
            know_images(LocalTree(str(folder.root)), NAMES, folder.kept, memory_gb=1e-6)


def test_members_of_a_container_are_known_as_long_as_it_is_the_same(folder):
    data = [(folder.root / name).read_bytes() for name in NAMES]
    tar = folder.root / "shard.tar"
    tar.write_bytes(b"".join(data))
    ends = [sum(map(len, data[:number])) for number in range(len(data) + 1)]
    members = [
        f"shard.tar#{name}@{start}+{end - start}"
        for name, start, end in zip(NAMES, ends, ends[1:], strict=False)
    ]
    assert folder.know(members)[1] == members
    assert folder.know(members)[1] == []
    tar.touch()
    assert folder.know(members)[1] == members


def test_a_cache_that_cannot_be_written_is_told_and_stops_nothing(folder, caplog):
    folder.kept.parent.write_text("a file where a folder should be")
    assert folder.know()[1] == NAMES
    assert "cannot be written" in caplog.text

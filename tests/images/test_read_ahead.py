from __future__ import annotations

import contextlib
import threading
import time

import pytest

from pool5.files.remote import READERS
from pool5.files.remote_errors import Unreachable
from pool5.images import read_ahead
from pool5.images.address import Address
from pool5.images.budget import Budget, TooLarge, UnreadableImage
from pool5.images.read_ahead import ReadAhead


@pytest.fixture
def ahead():
    with contextlib.closing(ReadAhead()) as ahead:
        yield ahead


def addresses(web, count: int) -> list[Address]:
    web.files |= {f"{number}.jpg": b"%d" % number for number in range(count)}
    return [Address(f"{web}/{number}.jpg") for number in range(count)]


def test_remote_images_come_while_others_are_asked_for(web, ahead):
    asked = addresses(web, 40)
    web.seconds = 0.05
    ahead.expect(asked)
    assert [ahead.read(address) for address in asked] == [b"%d" % number for number in range(40)]
    assert 1 < web.most <= READERS
    assert len(web.asked) == 40


def test_no_more_is_at_hand_than_there_are_readers(web, ahead):
    ahead.expect(asked := addresses(web, 60))
    for number in range(2):
        until = time.monotonic() + 20
        while len(web.asked) < READERS + number and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(web.asked) == READERS + number
        ahead.read(asked[number])


def test_local_images_are_read_when_they_are_asked_for(tmp_path, ahead):
    (tmp_path / "x").write_bytes(b"old")
    before = threading.active_count()
    ahead.expect([address := Address(str(tmp_path / "x"))])
    (tmp_path / "x").write_bytes(b"new")
    assert ahead.read(address) == b"new"
    assert threading.active_count() == before


def test_parts_of_an_image_are_read_once(web, ahead):
    (image, other) = addresses(web, 2)
    parts = [Address(image.file, crop=(0, 0, n, n)) for n in (1, 2)]
    ahead.expect([*parts, other])
    assert ahead.read(image) == b"0"
    assert ahead.read(other) == b"1"
    assert len(web.asked) == 2


def test_what_was_not_expected_or_is_left_out_is_no_obstacle(web, ahead):
    asked = addresses(web, 5)
    ahead.expect(asked[:4])
    assert [ahead.read(asked[number]) for number in (0, 4, 3)] == [b"0", b"4", b"3"]


def test_members_of_an_archive_come_by_their_spans(web, ahead):
    web.files["a.tar"] = bytes(range(100))
    members = [Address(f"{web}/a.tar", f"{n}.jpg", (n, 10)) for n in range(20)]
    ahead.expect(members)
    for number, member in enumerate(members):
        assert ahead.read(member) == bytes(range(number, number + 10))


def test_a_large_image_is_read_in_its_turn_and_within_the_memory(web, ahead, monkeypatch):
    monkeypatch.setattr(read_ahead, "_SMALL", Budget(10e-9))
    web.files["x"] = bytes(100)
    ahead.expect([Address(f"{web}/x")])
    assert ahead.read(Address(f"{web}/x"), Budget(1)) == bytes(100)
    with pytest.raises(TooLarge):
        ahead.read(Address(f"{web}/x"), Budget(50e-9))


def test_what_cannot_be_read_is_told_in_its_turn(web, ahead):
    asked = addresses(web, 3)
    del web.files["1.jpg"]
    web.busy["2.jpg"] = 99
    ahead.expect(asked)
    assert ahead.read(asked[0]) == b"0"
    with pytest.raises(UnreadableImage, match=r"1.jpg: cannot be read \(no such file\)"):
        ahead.read(asked[1])
    with pytest.raises(Unreachable, match=r"2.jpg: the server answers 503"):
        ahead.read(asked[2])

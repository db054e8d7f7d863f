from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from devkit import write_image

from pool5.images.address import Address
from pool5.images.budget import UnreadableImage
from pool5.images.image_bytes import digest_of, read_bytes
from pool5.images.image_file import read_image
from pool5.images.image_parts import ImageParts, by_image

PARTS = ["a.png#xywh=0,0,8,8", "a.png#xywh=4,4,20,12", "b.png#xywh=1,1,3,3", "a.png", "a.png#xywh=0,0,8,8"]


class Reader:
    """Reads, and remembers what."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, address: Address, budget: object) -> bytes:
        self.read.append(Path(address.file).name)
        return read_bytes(address)


@pytest.fixture
def addresses(tmp_path: Path) -> list[Address]:
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", ord(name))
    return [Address.parse(part, tmp_path) for part in PARTS]


def test_parts_and_their_digests_are_those_that_are_read_one_by_one(addresses):
    images = ImageParts()
    for address in addresses:
        assert images.digest(address) == digest_of(read_bytes(address), address)
        np.testing.assert_array_equal(np.asarray(images.picture(address)), read_image(address))


def test_an_image_is_read_once_for_parts_that_follow_each_other(addresses):
    images = ImageParts(read=(reader := Reader()))
    for address in addresses:
        images.digest(address)
        images.picture(address)
    assert reader.read == ["a.png", "b.png", "a.png", "a.png"]


def test_a_whole_image_is_not_kept_so_that_a_changed_one_is_noticed(addresses, tmp_path):
    images = ImageParts()
    whole = addresses[3]
    images.picture(whole)
    write_image(tmp_path / "a.png", 7)
    np.testing.assert_array_equal(np.asarray(images.picture(whole)), read_image(whole))


def test_each_part_of_a_damaged_image_is_refused(addresses, tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    images = ImageParts()
    for address in addresses[:2]:
        with pytest.raises(UnreadableImage, match="no image of a known kind"):
            images.picture(address)
    assert images.picture(addresses[2]).size == (3, 3)


def test_addresses_are_grouped_by_image_in_their_order(addresses):
    groups = by_image(addresses)
    assert [len(group) for group in groups] == [2, 1, 2]
    assert [address for group in groups for address in group] == addresses

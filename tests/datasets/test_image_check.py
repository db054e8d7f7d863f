"""Damage that a decoder passes over, and processes that are killed while they read."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checked import check_images
from PIL import Image

from pool5.datasets import image_check
from pool5.datasets.image_check import BadImage, ImageFact, doubts
from pool5.errors import UserError
from pool5.images.budget import Budget, UnreadableImage
from pool5.images.image_file import decode
from pool5.images.jpeg_damage import check_jpeg

END = b"\xff\xd9"


def photograph(seed: int = 0, mode: str = "RGB", **options: object) -> bytes:
    """Smooth noise, as a JPEG."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half, end marker": lambda data: half(data) + END,
    "half, zeros": lambda data: half(data) + bytes(len(data) // 2),
    "half, zeros, end marker": lambda data: half(data) + bytes(len(data) // 2) + END,
    "half": half,
}
KINDS: dict[str, dict] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_of_half_its_data_is_damaged_however_it_ends(tmp_path: Path, damage: str, kind: str) -> None:
    (tmp_path / "a.jpg").write_bytes(DAMAGE[damage](photograph(**KINDS[kind])))
    (fact,) = check_images(tmp_path, ["a.jpg"]).values()
    assert isinstance(fact, BadImage)
    assert fact.reason.startswith("damaged (")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_jpeg_is_beyond_doubt(tmp_path: Path, kind: str) -> None:
    data = photograph(**KINDS[kind])
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "appended.jpg").write_bytes(data + b"what phones append" * 100)
    facts = check_images(tmp_path, ["a.jpg", "appended.jpg"])
    assert {fact.size for fact in facts.values()} == {(400, 300)}
    assert doubts(facts) == []


def test_a_jpeg_with_zeroed_bytes_is_never_read_without_a_word(tmp_path: Path) -> None:
    """200 zeroed bytes put what follows out of step; some bytes are left over, or lacking, at the end."""
    names = []
    for seed in range(12):
        data = photograph(seed)
        where = len(data) // 2
        names.append(f"{seed}.jpg")
        (tmp_path / names[-1]).write_bytes(data[:where] + bytes(200) + data[where + 200 :])
    facts = check_images(tmp_path, names)
    unseen = [fact for fact in facts.values() if isinstance(fact, ImageFact) and not fact.doubt]
    assert len(unseen) <= 1, "by chance the count comes out even"


def test_bytes_left_over_are_told_once_for_all_images(tmp_path: Path) -> None:
    names = [f"{seed}.jpg" for seed in range(13)]
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(photograph(seed)[:-2] + bytes(20) + END)
    (line,) = doubts(check_images(tmp_path, names))
    assert line.startswith("13 images read that may be damaged (a JPEG with bytes left over): 0.jpg, 1.jpg")
    assert line.endswith("9.jpg and 3 more")


def test_images_that_need_more_memory_are_all_named_at_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (30, 30) if name == "b.png" else (3000, 3000)).save(tmp_path / name)
    with pytest.raises(UserError, match=r"^a\.png .*, c\.png .*; raise extract.memory_gb"):
        check_images(tmp_path, ["a.png", "b.png", "c.png"], memory_gb=0.05)


def killed_at_the_seventh(numbered: tuple[int, tuple[Path, str]]) -> ImageFact | BadImage:
    """In a process of the pool: what the out-of-memory killer does, or a decoder that crashes."""
    check = image_check._check

    def killed(task: tuple[Path, str], budget: Budget) -> ImageFact | BadImage:
        if task[1] == "7.jpg":
            os.kill(os.getpid(), signal.SIGKILL)
        return check(task, budget)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_check, "_check", killed)
        return image_check._check_in_pool(numbered)


def test_a_killed_reader_is_told_with_the_files_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.jpg" for number in range(60)]
    for name in names:
        (tmp_path / name).write_bytes(photograph())
    monkeypatch.setattr(image_check, "_WORTH_A_POOL", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert len(check_images(tmp_path, names)) == 60
    monkeypatch.setattr(image_check, "_check_in_pool", killed_at_the_seventh)
    with pytest.raises(UserError, match=r"killed or crashed; at work were (7\.jpg|.*, 7\.jpg)"):
        check_images(tmp_path, names)


LAYOUTS: dict[str, dict] = {**KINDS, "restarts in a row": {"restart_marker_blocks": 1}}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_cut_of_a_jpeg_that_loses_pixels_is_found_and_none_that_loses_nothing(layout: str) -> None:
    options = {"mode": "RGB"} | LAYOUTS[layout]
    noise = np.random.default_rng(3).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(options.pop("mode")).save(buffer, "JPEG", quality=80, **options)
    data = buffer.getvalue()
    whole = np.asarray(decode(data, "a.jpg"))
    for end in range(1, len(data)):
        for tail in (b"", END, END + b"what phones append"):
            try:
                found = np.asarray(decode(data[:end] + tail, "a.jpg"))
                check_jpeg(data[:end] + tail, "a.jpg")
            except UnreadableImage:
                assert end < len(data) - 2, "it lacks nothing but its end marker"
            else:
                np.testing.assert_array_equal(found, whole)


def test_a_progressive_jpeg_without_its_last_scans_is_damaged() -> None:
    data = photograph(progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert check_jpeg(data, "a.jpg") == ""
    for at in scans[1:]:
        with pytest.raises(UnreadableImage, match=r"scans are missing|Inconsistent"):
            check_jpeg(data[:at] + END, "a.jpg")


def test_a_lost_restart_marker_is_found() -> None:
    data = photograph(restart_marker_rows=1)
    for number in range(8):
        at = data.find(bytes([0xFF, 0xD0 + number]))
        with pytest.raises(UnreadableImage, match=r"damaged .Corrupt JPEG data"):
            check_jpeg(data[:at] + data[at + 2 :], "a.jpg")


def test_bytes_left_over_hide_no_picture_that_ends_early() -> None:
    """libjpeg tells its first warning alone."""
    data = photograph(restart_marker_rows=1)
    at = data.find(b"\xff\xd1")
    junk = data[:at] + bytes(9) + data[at:]
    assert check_jpeg(junk, "a.jpg") == "a JPEG with bytes left over"
    with pytest.raises(UnreadableImage, match="damaged"):
        check_jpeg(junk[: len(junk) * 2 // 3] + END, "a.jpg")


@pytest.mark.parametrize(
    "beside", [b"\xff\xe0\0\x10JFIF\0\3\1\0\0\1\0\1\0\0", b"\xff\xe2\0\x12ICC_PROFILE\0\7\1ab"]
)
def test_what_stands_beside_the_picture_hides_no_damage_and_is_none(beside: bytes) -> None:
    data = photograph()
    odd = data[:2] + beside + data[2:]
    assert check_jpeg(odd, "a.jpg") == ""
    with pytest.raises(UnreadableImage, match="damaged"):
        check_jpeg(half(odd) + END, "a.jpg")

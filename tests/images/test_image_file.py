from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from pool5.images.image_file import (
    Budget,
    TooLarge,
    UnreadableImage,
    decode_whole,
    read_bytes,
    read_image,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


def two_colours(mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right: 40 wide, 20 high."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image.convert(mode)


def near(pixel: np.ndarray, colour: tuple[int, ...], by: int = 8) -> bool:
    return bool((np.abs(pixel.astype(int) - colour) <= by).all())


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp", "a.tif", "a.webp", "a.ppm"])
def test_every_kind_of_file_gives_upright_rgb(tmp_path: Path, name: str) -> None:
    options = (
        {"quality": 95, "subsampling": 0}
        if name == "a.jpg"
        else {"lossless": True}
        if name == "a.webp"
        else {}
    )
    two_colours().save(tmp_path / name, **options)
    image = read_image(tmp_path / name)
    assert image.shape == (20, 40, 3)
    assert image.dtype == np.uint8
    assert near(image[10, 5], RED)
    assert near(image[10, 35], BLUE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int, name: str) -> None:
    """The eight orientations by their definition in the EXIF standard: which corner is row 0, column 0."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # the white corner is top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright[:, ::-1].transpose(1, 0, 2)[:, :],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright[::-1].transpose(1, 0, 2),
    }[orientation]
    if orientation in (6, 8):  # 6: the stored row 0 is the right side; 8: it is the left side
        stored = np.rot90(upright, 1 if orientation == 6 else -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif)
    image = read_image(tmp_path / name)
    assert image.shape == (16, 32, 3)
    np.testing.assert_allclose(image.astype(int), upright, atol=12)


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "P"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    name = "a.tif" if mode == "CMYK" else "a.png"
    two_colours(mode).save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.shape == (20, 40, 3)
    np.testing.assert_allclose(image.astype(int), np.asarray(two_colours(mode).convert("RGB")), atol=8)


def test_a_cmyk_jpeg_as_adobe_writes_it_is_not_a_negative(tmp_path: Path) -> None:
    two_colours("CMYK").save(tmp_path / "a.jpg", quality=95, subsampling=0)
    image = read_image(tmp_path / "a.jpg")
    assert near(image[10, 5], RED, 12)
    assert near(image[10, 35], BLUE, 12)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_of_sixteen_bits_the_high_byte_is_taken(tmp_path: Path, name: str) -> None:
    samples = np.array([[0, 255, 256, 32768, 65535]], np.uint16).repeat(3, axis=0)
    Image.fromarray(samples).save(tmp_path / name)
    assert read_image(tmp_path / name)[1, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_sixteen_bit_colour_loses_the_low_byte(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">6H", 65535, 256, 0, 0, 32768, 511)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png").tolist() == [[[255, 1, 0], [0, 128, 1]]]


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette", "colour key"])
def test_transparency_is_laid_on_white(tmp_path: Path, kind: str) -> None:
    image = two_colours("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 20, 20))
    if kind == "LA":
        image.convert("LA").save(tmp_path / "a.png")
    elif kind == "palette":
        image.convert("P").save(tmp_path / "a.gif", transparency=image.convert("P").getpixel((0, 0)))
    elif kind == "colour key":
        image.convert("RGB").save(tmp_path / "a.png", transparency=(0, 0, 0))
    else:
        image.save(tmp_path / "a.png")
    read = read_image(next(tmp_path.iterdir()))
    assert read[10, 5].tolist() == [255, 255, 255]
    assert read[10, 35].tolist() != [255, 255, 255]


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[0, 0].tolist() == list(RED)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>not found</html>", "no image of a known kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known kind"),
        (jpeg()[:2000], "damaged"),
        (jpeg()[:20], "damaged .its head cannot be read"),
    ],
    ids=["empty", "html", "postscript", "truncated", "header only"],
)
def test_what_is_no_whole_image_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(UnreadableImage, match=reason) as told:
        read_image(tmp_path / "a.jpg")
    assert "a.jpg" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file"):
        read_image(tmp_path / "a.jpg")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    Image.new("P", (20_000, 13_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 400_000
    with pytest.raises(
        TooLarge, match=r"takes 6\.2 GB to decode, more than the 4 of extract.memory_gb; raise "
    ):
        read_image(tmp_path / "bomb.png", Budget(4))


def test_what_bounds_an_image_is_its_memory_which_the_user_can_raise(tmp_path: Path) -> None:
    Image.new("1", (12_000, 9_000)).save(tmp_path / "phone.png")  # 108 megapixels
    with pytest.raises(TooLarge):
        read_image(tmp_path / "phone.png", Budget(0.5))
    assert read_image(tmp_path / "phone.png").shape == (9_000, 12_000, 3)


def test_an_image_above_the_share_of_a_process_waits_for_its_turn(tmp_path: Path) -> None:
    two_colours().save(tmp_path / "a.png")
    turns = []

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        turns.append("taken")
        yield
        turns.append("given back")

    read_image(tmp_path / "a.png", Budget(4, share=1, turn=turn()))
    assert turns == []
    read_image(tmp_path / "a.png", Budget(4, share=0.000006, turn=turn()))
    assert turns == ["taken", "given back"]


def test_an_endless_or_huge_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "zero.jpg", "folder.jpg"):
        there = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(UnreadableImage, match=rf"{name}: (no regular file|cannot be read)"):
            read_bytes(tmp_path / name)
        assert len(list(Path("/proc/self/fd").iterdir())) == there
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(6 * 10**9)
    with pytest.raises(TooLarge, match=r"takes 6\.0 GB"):
        read_bytes(tmp_path / "huge.jpg", Budget(4))


GREY = (np.tile(np.linspace(0, 1, 64), (48, 1)) * 65535).astype(np.uint16)
COLOUR = np.stack([GREY, GREY[:, ::-1], GREY // 2], -1)
PLANES = {"photometric": "rgb", "planarconfig": "separate"}
READ = {
    "rgb 8": (COLOUR >> 8, COLOUR >> 8, {"photometric": "rgb"}),
    "rgb 8 planes": ((COLOUR >> 8).transpose(2, 0, 1), COLOUR >> 8, PLANES),
    "rgb 8 planes tiles": ((COLOUR >> 8).transpose(2, 0, 1), COLOUR >> 8, PLANES | {"tile": (16, 16)}),
    "white is 0, 8": (GREY >> 8, 255 - (GREY >> 8), {"photometric": "miniswhite"}),
    "white is 0, 16": (GREY, 255 - (GREY >> 8), {"photometric": "miniswhite"}),
    "grey 16": (GREY, GREY >> 8, {}),
    "grey 16 big-endian": (GREY, GREY >> 8, {"byteorder": ">"}),
    "rgb 16": (COLOUR, COLOUR >> 8, {"photometric": "rgb"}),
    "rgb 16 zlib": (COLOUR, COLOUR >> 8, {"photometric": "rgb", "compression": "zlib", "predictor": True}),
    "rgb 16 planes zlib": (COLOUR.transpose(2, 0, 1), COLOUR >> 8, PLANES | {"compression": "zlib"}),
    "bits": (GREY > 9999, (GREY > 9999) * 255, {"photometric": "minisblack"}),
    "white is 0, bits": (GREY > 9999, (GREY <= 9999) * 255, {"photometric": "miniswhite"}),
}
REFUSED = {
    "rgb 16 planes": (COLOUR.transpose(2, 0, 1), PLANES, "16 bits a sample in planes"),
    "rgb 16 planes tiles": (COLOUR.transpose(2, 0, 1), PLANES | {"tile": (16, 16)}, "in planes"),
    "signed 8": ((GREY >> 9).astype("i1"), {}, "a sign or a point"),
    "signed 16": (GREY.astype("i2"), {}, "a sign or a point"),
    "signed 32": (GREY.astype("i4"), {}, "a sign or a point"),
    "32": (GREY.astype("u4") << 16, {}, "32 bits a sample: save it as an 8-bit PNG"),
}


@pytest.mark.parametrize("kind", READ)
def test_a_tiff_is_read_as_tifffile_wrote_it(tmp_path: Path, kind: str) -> None:
    samples, expected, options = READ[kind]
    samples = samples.astype(np.uint8) if " 8" in kind else samples
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(samples), **options)
    found = read_image(tmp_path / "a.tif").astype(int)
    np.testing.assert_array_equal(found, np.broadcast_to(expected.reshape(48, 64, -1), (48, 64, 3)))


@pytest.mark.parametrize("kind", REFUSED)
def test_a_tiff_that_pillow_would_show_wrongly_is_refused(tmp_path: Path, kind: str) -> None:
    samples, options, reason = REFUSED[kind]
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(samples), **options)
    with pytest.raises(UnreadableImage, match=reason):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("samples", [GREY >> 4, GREY], ids=["12 bits", "16 bits"])
def test_12_bits_in_a_16_bit_file_are_doubtful(tmp_path: Path, samples: np.ndarray) -> None:
    Image.fromarray(samples).save(tmp_path / "a.png")
    doubt = decode_whole((tmp_path / "a.png").read_bytes(), "a.png").doubt
    assert ("nearly black" in doubt) == (samples.max() < 4096)


def test_what_libtiff_prints_does_not_reach_the_user(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    Image.fromarray(COLOUR.astype(np.uint8)).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[100:400] = bytes(300)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(UnreadableImage, match="damaged"):
        read_image(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


def test_a_gif_whose_first_frame_does_not_fill_the_picture(tmp_path: Path) -> None:
    image = two_colours().convert("P")
    image.save(tmp_path / "a.gif")
    whole = (tmp_path / "a.gif").read_bytes()
    wider = whole[:6] + struct.pack("<HH", 60, 20) + whole[10:]  # the canvas; the frame stays 40 wide
    (tmp_path / "a.gif").write_bytes(wider)
    with pytest.raises(UnreadableImage, match="first frame does not fill the picture"):
        read_image(tmp_path / "a.gif")
    image.save(tmp_path / "b.gif", transparency=image.getpixel((0, 0)))
    whole = (tmp_path / "b.gif").read_bytes()
    (tmp_path / "b.gif").write_bytes(whole[:6] + struct.pack("<HH", 60, 20) + whole[10:])
    assert read_image(tmp_path / "b.gif")[10, 50].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["profile", "zTXt", "iTXt"])
def test_a_png_with_megabytes_of_metadata_is_sound(tmp_path: Path, kind: str) -> None:
    long = np.random.default_rng(0).integers(32, 127, 1_500_000, dtype=np.uint8).tobytes()
    info = PngImagePlugin.PngInfo()
    if kind == "zTXt":
        info.add_text("workflow", long.decode(), zip=True)
    elif kind == "iTXt":
        info.add_itxt("parameters", long.decode(), zip=True)
    two_colours().save(tmp_path / "a.png", pnginfo=info, icc_profile=long if kind == "profile" else None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.asarray(two_colours()))


def test_floating_point_samples_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), "f4")).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match="floating-point samples"):
        read_image(tmp_path / "a.tif")


def test_damaged_exif_around_a_sound_image_does_no_harm(tmp_path: Path) -> None:
    two_colours().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert read_image(tmp_path / "a.jpg").shape == (20, 40, 3)


def test_the_reason_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "empty file")))  # noqa: S301
    assert (error.path, error.reason) == ("a.jpg", "empty file")

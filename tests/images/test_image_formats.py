"""AVIF, JPEG 2000 and HEIC; files that are cut; colour profiles; what a file says of its samples' range."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from pool5.datasets.image_check import ImageFact, doubts
from pool5.datasets.known_images import know_images
from pool5.datasets.tree import LocalTree
from pool5.images import image_formats
from pool5.images.address import Address
from pool5.images.budget import Budget, TooLarge, UnreadableImage
from pool5.images.colour_profile import profile_other_than_srgb
from pool5.images.deep_tiff import _directory
from pool5.images.image_bytes import digest_of
from pool5.images.image_file import decode

RGB = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
UPRIGHT = np.zeros((64, 128, 3), np.uint8)
UPRIGHT[:32, :64] = 255  # the white corner is top left
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


def encoded(kind: str, image: np.ndarray | Image.Image = RGB, **options: object) -> bytes:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, "a")).astype(int)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_picture_is_turned_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(kind, STORED[orientation], exif=exif.tobytes(), quality=95)
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    np.testing.assert_allclose(pixels(data), UPRIGHT, atol=12)


@pytest.mark.parametrize("options", [{}, {"no_jp2": True}, {"tile_size": (32, 32)}])
def test_a_jpeg_2000_without_loss_is_read_exactly(options: dict) -> None:
    np.testing.assert_array_equal(pixels(encoded("JPEG2000", RGB, **options)), RGB)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "JPEG2000"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 32, 64))
    found = pixels(encoded(kind, image))
    np.testing.assert_allclose(found[32, 8], [255] * 3, atol=6)
    np.testing.assert_allclose(found[32, 56], [255, 0, 0], atol=6)


def test_sixteen_bits_of_a_jpeg_2000_lose_the_low_byte() -> None:
    grey = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    assert (pixels(encoded("JPEG2000", grey))[:, :, 0] == grey >> 8).all()


CUT = {
    "png": ("PNG", RGB, {}),
    "gif": ("GIF", Image.fromarray(RGB).quantize(64), {}),
    "bmp": ("BMP", RGB, {}),
    "ppm": ("PPM", RGB, {}),
    "tiff": ("TIFF", RGB, {}),
    "tiff, lzw": ("TIFF", RGB, {"compression": "tiff_lzw"}),
    "webp": ("WEBP", RGB, {}),
    "webp without loss": ("WEBP", RGB, {"lossless": True}),
    "avif": ("AVIF", RGB, {}),
    "heif": ("HEIF", RGB, {}),
    "jpeg 2000": ("JPEG2000", RGB, {}),
    "jpeg 2000 in tiles": ("JPEG2000", RGB, {"tile_size": (32, 32)}),
    "jpeg 2000 in layers": ("JPEG2000", RGB, {"quality_layers": [20, 5], "irreversible": True}),
    "codestream": ("JPEG2000", RGB, {"no_jp2": True}),
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_is_refused_wherever_it_loses_pixels(
    name: str, capfd: pytest.CaptureFixture
) -> None:
    kind, image, options = CUT[name]
    data = encoded(kind, image, **options)
    whole, parts = pixels(data), sorted({*range(0, len(data), 97), *range(len(data) - 8, len(data))})
    for end in parts:
        try:
            found = pixels(data[:end])
        except UnreadableImage:
            continue
        np.testing.assert_array_equal(found, whole)
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_2000_of_fewer_tiles_is_refused_though_it_ends_well() -> None:
    data = encoded("JPEG2000", RGB, tile_size=(32, 32), no_jp2=True)
    second = data.find(b"\xff\x90", data.find(b"\xff\x90") + 2)
    with pytest.raises(UnreadableImage, match="the picture ends early"):
        decode(data[:second] + b"\xff\xd9", "a.j2k")


def test_the_size_in_a_jpeg_2000_is_not_taken_on_trust() -> None:
    data = encoded("JPEG2000", RGB)
    at = data.find(b"ihdr") + 4
    with pytest.raises(UnreadableImage, match="another size than its head says"):
        decode(data[:at] + struct.pack(">II", 6, 8) + data[at + 8 :], "a.jp2")


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "HEIF"])
def test_what_takes_too_much_memory_is_refused_before_it_is_unpacked(kind: str) -> None:
    with pytest.raises(TooLarge, match="GB to decode"):
        decode(encoded(kind, np.zeros((1024, 1024, 3), np.uint8)), "a", Budget(0.01))


def test_a_heic_is_refused_with_the_package_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded("HEIF")
    monkeypatch.setattr(image_formats, "_heif_is_read", lambda: False)
    with pytest.raises(UnreadableImage, match=r"not installed: pip install pillow-heif, or 'pool5\[heif\]'"):
        decode(data, "a.heic")


def test_a_jpeg_of_twelve_bits_is_refused_with_the_reason() -> None:
    data = bytearray(encoded("JPEG"))
    data[data.find(b"\xff\xc0") + 4] = 12
    with pytest.raises(UnreadableImage, match="a JPEG of 12 bits a sample: save it as an 8-bit PNG"):
        decode(bytes(data), "a.jpg")


def profile(red: tuple[float, float], gamma: float, name: str) -> bytes:
    """A colour profile of three primaries and a curve: D65, green and blue as in sRGB (ICC.1:2001, 6.3)."""

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (x, y, z)))

    primaries = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, (0.3, 0.6), (0.15, 0.06))]).T
    white = np.array([0.9505, 1, 1.089])
    bradford = np.array([[1.0479, 0.0229, -0.0502], [0.0296, 0.9904, -0.0171], [-0.0092, 0.0151, 0.7519]])
    columns = (bradford @ (primaries * np.linalg.solve(primaries, white))).T
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = name.encode() + b"\0"
    told = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    parts = {b"desc": told, b"wtpt": xyz(0.9642, 1, 0.8249), b"cprt": b"text\0\0\0\0free\0\0\0\0"}
    parts |= {tag: xyz(*column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = struct.pack(">I", len(parts)), b"", 128 + 4 + 12 * len(parts)
    for tag, content in parts.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


WIDE = profile((0.69, 0.31), 2.2, "Wide of a test")


def test_srgb_is_known_by_what_it_does_not_by_its_name() -> None:
    assert profile_other_than_srgb(None) == ""
    assert profile_other_than_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()) == ""
    assert profile_other_than_srgb(profile((0.64, 0.33), 2.2, "c2")) == ""
    assert profile_other_than_srgb(profile((0.64, 0.33), 1.8, "sRGB in name")) == "sRGB in name"
    assert profile_other_than_srgb(WIDE) == "Wide of a test"
    assert profile_other_than_srgb(b"no profile at all") == "damaged"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000"])
def test_other_profiles_are_ignored_and_told(tmp_path: Path, kind: str) -> None:
    if kind == "JPEG2000":
        pytest.skip("Pillow reads no profile of a JPEG 2000")
    plain, wide = encoded(kind, RGB), encoded(kind, RGB, icc_profile=WIDE)
    np.testing.assert_array_equal(pixels(plain), pixels(wide))
    for name, data in (("a", wide), ("b", plain), ("c", wide)):
        (tmp_path / name).write_bytes(data)
    facts = know_images(LocalTree(str(tmp_path)), ["a", "b", "c"], tmp_path / "known")
    assert doubts(facts) == [
        "2 images with a colour profile other than sRGB (Wide of a test: 2): read as if sRGB"
    ]
    assert isinstance(facts["b"], ImageFact)


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Each row's samples one after another, the highest bit first, filled up to a byte."""
    return b"".join(
        np.packbits([int(bit) for value in row for bit in f"{value:0{bits}b}"]).tobytes()
        for row in samples.reshape(len(samples), -1)
    )


def tiff(samples: np.ndarray, bits: int, order: str = "<", **more: int | tuple[int, ...]) -> bytes:
    """An uncompressed TIFF of one strip."""
    body = packed(samples, bits)
    count = samples.shape[2] if samples.ndim == 3 else 1
    tags: dict[int, int | tuple[int, ...]] = {
        256: samples.shape[1], 257: len(samples), 258: (bits,) * count, 259: 1, 262: 2 if count == 3 else 1,
        273: 8, 277: count, 278: len(samples), 279: len(body),
    }  # fmt: skip
    tags |= {int(tag[1:]): value for tag, value in more.items()}
    body += bytes(len(body) % 2)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(body))
    return head + body + _directory(tags, 8 + len(body), order)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_packed_samples_of_a_tiff_are_scaled_by_their_bits(bits: int, colours: int, order: str) -> None:
    shape = (17, 23) if colours == 1 else (17, 23, 3)
    samples = np.random.default_rng(bits).integers(0, 1 << bits, shape)
    expected = np.broadcast_to((samples >> (bits - 8)).reshape(17, 23, -1), (17, 23, 3))
    data = tiff(samples, bits, order)
    np.testing.assert_array_equal(pixels(data), expected)


def test_of_packed_samples_zero_may_be_white() -> None:
    samples = np.random.default_rng(0).integers(0, 4096, (17, 23))
    assert (pixels(tiff(samples, 12, t262=0))[:, :, 0] == 255 - (samples >> 4)).all()


DEEP = np.random.default_rng(1).integers(0, 4096, (24, 32, 3)).astype(np.uint16)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bits_are_scaled_by_the_range_that_the_file_states(byteorder: str, options: dict) -> None:
    def written(*tags: tuple) -> bytes:
        buffer = io.BytesIO()
        options_ = {"photometric": "rgb", "byteorder": byteorder, **options}
        tifffile.imwrite(buffer, DEEP, extratags=tags, **options_)
        return buffer.getvalue()

    stated = written((341, 3, 3, (4095,) * 3, True))
    np.testing.assert_array_equal(pixels(stated), DEEP >> 4)
    from_100 = written((340, 3, 3, (100,) * 3, True), (341, 3, 3, (3000,) * 3, True))
    np.testing.assert_array_equal(
        pixels(from_100), (np.clip(DEEP, 100, 3000) - 100).astype(int) * 256 // 2901
    )
    full = written((341, 3, 3, (65535,) * 3, True))
    statistics, plain = written((281, 3, 3, (4095,) * 3, True)), written()
    for same in (full, statistics, plain):
        np.testing.assert_array_equal(pixels(same), DEEP >> 8)
    # what is scaled now was not always: its rows must not be taken for those made then
    for data in (stated, full, statistics, plain):
        of_the_bytes = hashlib.blake2b(data, digest_size=16).digest()
        assert (digest_of(data, Address("a.tif")) == of_the_bytes) == (data != stated)


@pytest.mark.parametrize("kind", ["sBIT", "none"])
def test_sixteen_bits_of_a_png_fill_their_range_whatever_was_significant(kind: str) -> None:
    """PNG (third edition), 11.3.2.2: samples fill the depth; sBIT says what they were."""
    samples = (np.arange(4096, dtype=np.uint16) << 4).reshape(64, 64)
    info = PngImagePlugin.PngInfo()
    if kind == "sBIT":
        info.add(b"sBIT", b"\x0c")
    assert (pixels(encoded("PNG", samples, pnginfo=info))[:, :, 0] == samples >> 8).all()


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_a_png_with_a_bomb_beside_the_picture_is_sound(kind: str) -> None:
    info, bomb = PngImagePlugin.PngInfo(), "a" * 80_000_000
    if kind == "iCCP":
        data = encoded("PNG", RGB, icc_profile=bomb.encode())
    elif kind == "zTXt":
        info.add_text("comment", bomb, zip=True)
        data = encoded("PNG", RGB, pnginfo=info)
    else:
        info.add_itxt("comment", bomb, zip=True)
        data = encoded("PNG", RGB, pnginfo=info)
    np.testing.assert_array_equal(pixels(data), RGB)

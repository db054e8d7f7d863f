"""What every decoder must keep to: the same picture, the same refusals."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.images.budget import ANY_MEMORY, Budget, TooLarge, UnreadableImage
from pool5.images.decoders import decoder_of, seen_by
from pool5.images.transform import crop_centre
from pool5.params import Preprocess
from tests.images.jpegs import encoded, of_every_kind, picture, rotated

SMALL = Preprocess(resize=72, crop=64)
DECODERS = ("pillow", "turbojpeg", "nvjpeg")
OF_THE_CARD = {"4:2:0", "4:2:2", "4:4:4", "progressive", "optimized", "restarts", "colour profile"}


def seen(name: str, data: bytes, preprocess: Preprocess = SMALL, budget: Budget = ANY_MEMORY) -> np.ndarray:
    """What a network sees; what is left to its device is decoded by torchvision here."""
    found = seen_by(decoder_of(name), data, "a", budget, preprocess)
    if isinstance(found, np.ndarray):
        return found
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    from pool5.extract.card_resample import resample

    pixels = decode_jpeg(torch.frombuffer(bytearray(found), dtype=torch.uint8), ImageReadMode.RGB)
    return resample([pixels], preprocess)[0].numpy()


def away(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("kind", of_every_kind(picture(8, 8)))
@pytest.mark.parametrize("name", DECODERS)
def test_every_kind_of_image_is_the_same_picture(name: str, kind: str) -> None:
    for size in ((200, 150), (75, 131)):
        data = of_every_kind(picture(*size))[kind]
        found, usual = seen(name, data), seen("pillow", data)
        assert found.shape == (64, 64, 3)
        assert found.dtype == np.uint8
        assert away(found, usual) < 2
        assert np.abs(found.astype(int) - usual).max() < 40


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("size", [(1201, 803), (803, 1201), (640, 641), (1199, 400), (289, 146)])
@pytest.mark.parametrize(
    "preprocess",
    [
        SMALL,
        Preprocess(resize=72, crop=64, interpolation="bicubic"),
        Preprocess(resize=64, crop=64, mode="squash"),
        Preprocess(resize=64, crop=80, mode="pad", fill=(9, 9, 9)),
    ],
)
def test_a_smaller_scale_shows_the_same_part_in_the_same_place(
    name: str, size: tuple[int, int], preprocess: Preprocess
) -> None:
    """An edge that is moved by a fraction of a pixel would be off by far more levels."""
    smooth = Image.fromarray(np.random.default_rng(1).integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    data = encoded(smooth, quality=97)
    found, usual = (seen(each, data, preprocess).astype(int) for each in (name, "pillow"))
    assert np.abs(found - usual).max() <= 4
    assert away(found, usual) < 0.6


def test_a_large_jpeg_is_decoded_small_but_not_smaller_than_it_is_resized_to() -> None:
    decode = decoder_of("turbojpeg")
    for side, scale in ((143, 1), (144, 1 / 2), (287, 1 / 2), (288, 1 / 4), (575, 1 / 4), (2000, 1 / 8)):
        found = decode(encoded(picture(side + 60, side)), "a", ANY_MEMORY, SMALL)
        assert (found.scale, found.size) == (scale, (side + 60, side))
        assert found.image.size == (int(np.ceil((side + 60) * scale)), int(np.ceil(side * scale)))
    assert decode(encoded(picture(60, 40)), "a", ANY_MEMORY, Preprocess(resize=4, crop=4)).scale == 1


def test_at_full_size_turbojpeg_and_pillow_are_the_same_library() -> None:
    for data in of_every_kind(picture(130, 100)).values():
        np.testing.assert_array_equal(seen("turbojpeg", data), seen("pillow", data))


def test_what_is_left_to_the_device_is_decided_by_the_bytes() -> None:
    decode = decoder_of("nvjpeg")
    kinds = of_every_kind(picture(60, 40))
    assert {
        kind for kind, data in kinds.items() if decode(data, "a", ANY_MEMORY, SMALL) is None
    } == OF_THE_CARD
    plain = kinds["4:2:0"]
    for data in (plain[:-2], plain + b"\0", plain[:200] + b"\xff\xd9"):  # its end is not where it should be
        try:
            assert decode(data, "a", ANY_MEMORY, SMALL) is not None
        except UnreadableImage:
            continue
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + b'<x tiff:Orientation="6"/>'
    turned = plain[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + plain[2:]
    assert decode(turned, "a", ANY_MEMORY, SMALL) is not None, "Pillow rotates by XMP too"


DAMAGED = {
    "empty": b"",
    "nothing": b"nothing",
    "a head": encoded(picture(90, 90))[:300],
    "half": (whole := encoded(picture(90, 90)))[: len(whole) // 2],
    "half a rotated one": (turned := rotated(picture(90, 90)))[: len(turned) // 2],
    "half a png": (png := encoded(picture(90, 90), "PNG"))[: len(png) // 2],
    "no frame": whole[:2] + whole[whole.index(b"\xff\xda") :],
    "12 bits": whole.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "no height": whole.replace(b"\xff\xc0\x00\x11\x08\x00\x5a", b"\xff\xc0\x00\x11\x08\x00\x00"),
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("name", DECODERS[1:])
def test_what_pillow_refuses_is_refused_in_the_same_words(name: str, what: str) -> None:
    reasons = []
    for each in ("pillow", name):
        with pytest.raises(UnreadableImage) as error:
            seen(each, DAMAGED[what])
        reasons.append(error.value.reason)
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize("name", DECODERS)
def test_a_bomb_takes_no_memory(name: str) -> None:
    plain = encoded(picture(90, 90))
    bomb = plain.replace(b"\xff\xc0\x00\x11\x08\x00\x5a\x00\x5a", b"\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc")
    assert bomb != plain
    with pytest.raises(TooLarge, match=r"takes 34\.\d GB to decode, more than the 4 of extract.memory_gb"):
        seen(name, bomb, budget=Budget(4))
    taken = []

    class Turn:
        def __enter__(self) -> None:
            taken.append(name)

        def __exit__(self, *_: object) -> None:
            pass

    seen(name, encoded(picture(300, 300)), budget=Budget(1, 1e-4, Turn()))
    assert taken == [name], "what takes more than a share waits for its turn"


def test_any_cut_of_a_jpeg_is_read_or_refused_as_by_pillow() -> None:
    data = encoded(picture(40, 30), quality=60)
    for end, tail in itertools.product(range(2, len(data), 3), (b"", b"\xff\xd9", b"\0" * 40)):
        cut, found = data[:end] + tail, []
        for name in ("pillow", "turbojpeg"):
            try:
                found.append(seen(name, cut, Preprocess(resize=30, crop=30)).tobytes())
            except UnreadableImage as error:
                found.append(error.reason)
        assert found[0] == found[1]


def test_a_decoder_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: str) -> None:
        raise ModuleNotFoundError("No module named 'simplejpeg'", name="simplejpeg")

    monkeypatch.setattr(importlib, "import_module", missing)
    told = r"extract.decoder: turbojpeg: simplejpeg is not installed; run pip install 'pool5\[pipeline\]'"
    with pytest.raises(UserError, match=told):
        decoder_of("turbojpeg")


def test_a_scaled_picture_is_cropped_where_the_whole_one_is() -> None:
    from pool5.images.transform import Picture

    image = picture(100, 80)
    np.testing.assert_array_equal(
        np.asarray(crop_centre(image, SMALL)), np.asarray(crop_centre(Picture(image, image.size), SMALL))
    )

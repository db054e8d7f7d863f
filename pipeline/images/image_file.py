"""An image file of any kind, decoded to an upright 8-bit RGB image."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import AvifImagePlugin, Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from .address import Address
from .budget import ANY_MEMORY, Budget, TooLarge, UnreadableImage
from .colour_profile import profile_other_than_srgb
from .deep_tiff import DeepTiff, Unsupported, decode_deep_tiff, deep_tiff
from .image_bytes import read_bytes
from .image_formats import open_image, why_not_read
from .jpeg2000 import check_jpeg2000
from .jpeg_damage import END, START, lacks_only_its_end
from .png_texts import without_long_texts

_GB = 10**9
# What is bounded is the memory (see `Budget`), not the pixels, and not a colour profile or a generator's
# settings, of which Pillow takes 1 MB each.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as many processes read as there are cores
# what decoders of these take beside Pillow: planes, 4 bytes a sample in OpenJPEG
_OF_THE_DECODER = {"AVIF": 16, "HEIF": 16, "JPEG2000": 32}
_HUSHED = frozenset(["TIFF", "JPEG2000", "AVIF", "HEIF"])  # whose libraries print
_DARK = "16-bit samples that use 12 bits or fewer: nearly black"
_stderr = threading.Lock()


class Decoded(NamedTuple):
    """An upright RGB image, (width, height) as stored, what is doubtful about it, and what of it is ignored.

    The latter is the name of a colour profile other than sRGB. Both are '' where there is nothing.
    """

    image: Image.Image
    size: tuple[int, int]
    doubt: str
    note: str


def read_image(where: Address | Path, budget: Budget = ANY_MEMORY) -> np.ndarray:
    """Read an image upright, as RGB.

    Rotation is applied, transparency laid on white, grey, palette and CMYK converted, and of 16-bit samples
    the high byte taken; those of a TIFF that states their range are scaled by it. Embedded colour profiles
    are ignored, as in torchvision.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    UnreadableImage
        If the file is missing, damaged, truncated or no image; `TooLarge` if `budget` does not allow it.
    """
    image = decode(read_bytes(where, budget), str(where), budget)
    return np.asarray(cropped(image, where) if isinstance(where, Address) else image)


def cropped(image: Image.Image, address: Address) -> Image.Image:
    """The part of the picture that the address means."""
    if address.crop is None:
        return image
    x, y, width, height = address.crop
    return image.crop((x, y, x + width, y + height))


def decode(data: bytes, path: Path | str, budget: Budget = ANY_MEMORY) -> Image.Image:
    """Decode the bytes of the image file `path` to an upright RGB image (see `read_image`)."""
    return decode_whole(data, path, budget).image


def decode_whole(data: bytes, path: Path | str, budget: Budget = ANY_MEMORY) -> Decoded:
    """`decode`, with what a manifest says of the file."""
    with _told_in_words(data, path):
        return _decode_sound(data, path, budget)


def stated_size(data: bytes, path: Path | str) -> tuple[int, int]:
    """The width and height that an image file says it has, as stored; nothing is decoded."""
    with _told_in_words(data, path):
        tiff = deep_tiff(data)
        return tiff.size if tiff else open_image(data).size


@contextlib.contextmanager
def _told_in_words(data: bytes, path: Path | str) -> Iterator[None]:
    """Tell why these bytes are no image: `UnreadableImage`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        return
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        reason = why_not_read(data)
    except MemoryError:
        raise TooLarge(path, "too large for the memory there is") from None
    except Unsupported as error:
        reason = f"{error}: save it as an 8-bit PNG"
    except Exception as error:
        # on damaged bytes Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error, …
        reason = f"damaged ({' '.join(str(error).split()) or type(error).__name__})"
    raise UnreadableImage(path, reason)


def _decode_sound(data: bytes, path: Path | str, budget: Budget) -> Decoded:
    """`_decode`, also where Pillow stumbles over what is no part of the picture: texts, a missing end."""
    try:
        return _decode(data, path, budget)
    except ValueError as error:
        if "MAX_TEXT" not in str(error):
            raise
        return _decode(without_long_texts(data), path, budget)
    except OSError:
        if not data.startswith(START) or data.endswith(END) or not lacks_only_its_end(data):
            raise
        return _decode(data + END, path, budget)


def _decode(data: bytes, path: Path | str, budget: Budget) -> Decoded:
    if tiff := deep_tiff(data):
        with budget.take(_gb_of_deep(tiff, data), path), _hushed():
            image = decode_deep_tiff(data, tiff)
            return Decoded(_to_rgb(_upright(image)), tiff.size, "", profile_other_than_srgb(tiff.profile))
    with _hushed() if data[4:8] == b"ftyp" else contextlib.nullcontext():
        image = open_image(data)
    size = image.size
    with budget.take(gb_to_decode(image, data), path):
        deep = any(";16" in str(tile.args) for tile in image.tile)
        _check_kind(image, data)
        with _hushed() if image.format in _HUSHED else contextlib.nullcontext():
            image.load()
        rgb = _to_rgb(_upright(image))
    dark = deep and np.max(rgb.getextrema()) < 16
    return Decoded(rgb, size, _DARK if dark else "", profile_other_than_srgb(image.info.get("icc_profile")))


def gb_to_decode(image: Image.Image, data: bytes) -> float:
    """An upper bound of what `decode` takes for an open image: 4 bytes a pixel, and copies on the way."""
    each = 8  # and once more where it is turned upright
    if image.info.get("progressive"):
        each += 8  # the coefficients of the whole image
    if image.mode not in ("RGB", "L") or "transparency" in image.info:
        each += 16  # RGBA, a white ground, both in one
    each += _OF_THE_DECODER.get(image.format or "", 0)
    return (len(data) + each * image.width * image.height) / _GB


def _gb_of_deep(tiff: DeepTiff, data: bytes) -> float:
    """The file once more with another head; a sample as a byte, in windows of three, scaled; the picture."""
    width, height = tiff.size
    return (2 * len(data) + (20 * tiff.samples + 8) * width * height) / _GB


def _check_kind(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse what Pillow reads without a word and wrongly."""
    if (
        image.format == "GIF"
        and "transparency" not in image.info
        and image.tile[0].extents != (0, 0, *image.size)
    ):
        raise Unsupported("its first frame does not fill the picture")
    if image.format == "JPEG2000":
        check_jpeg2000(data, image.size)
    if image.mode == "F":
        raise Unsupported("floating-point samples have no agreed white")
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits, kinds = tags.get(258, (1,)), tags.get(339, (1,))
    if set(kinds) != {1}:
        raise Unsupported("samples with a sign or a point")
    if not set(bits) <= {1, 2, 4, 8, 16}:
        raise Unsupported(f"{max(bits)} bits a sample")
    if max(bits) == 16 and len(bits) > 1 and str(image.tile[0].args).startswith("('R',"):
        raise Unsupported("16 bits a sample in planes")


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep off stderr what a library prints there, without the file's name, before Pillow raises."""
    with _stderr:  # one file descriptor, however many threads
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def is_rotated(image: Image.Image) -> bool:
    """Whether the picture is stored otherwise than upright."""
    try:
        return bool(image.getexif().get(0x0112, 1) != 1)
    except Exception:  # damaged EXIF around a sound image: Pillow raises SyntaxError, struct.error, …
        return False


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image) if is_rotated(image) else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        image = Image.fromarray((np.clip(samples, 0, 65535) >> 8).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")

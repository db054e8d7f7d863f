"""An image file of any kind, decoded to an upright 8-bit RGB image."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from .address import Address
from .image_bytes import ANY_MEMORY, Budget, TooLarge, UnreadableImage, read_bytes

# Named one by one: Pillow would otherwise hand an EPS to Ghostscript, which is a program in itself.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
_GB = 10**9
# What is bounded is the memory (see `Budget`), not the pixels, and not a colour profile or a generator's
# settings, of which Pillow takes 1 MB each.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
_stderr = threading.Lock()


class _Unsupported(ValueError):  # noqa: N818
    """Sound, but Pillow would give other colours than the file's."""


class Decoded(NamedTuple):
    """An upright RGB image, (width, height) as stored, and what is doubtful about it, if anything."""

    image: Image.Image
    size: tuple[int, int]
    doubt: str


def read_image(where: Address | Path, budget: Budget = ANY_MEMORY) -> np.ndarray:
    """Read an image upright, as RGB.

    EXIF rotation is applied, transparency laid on white, grey, palette and CMYK converted, and of 16-bit
    samples the high byte taken. Embedded colour profiles are ignored, as in torchvision.

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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            size = image.size
            with budget.take(_gb_to_decode(image, data), path):
                deep = any(";16" in str(tile.args) for tile in image.tile)
                _check_kind(image)
                with _libtiff_hushed() if image.format == "TIFF" else contextlib.nullcontext():
                    image.load()
                rgb = _to_rgb(_upright(image))
        dark = deep and np.max(rgb.getextrema()) < 16
        return Decoded(rgb, size, "16-bit samples that use 12 bits or fewer: nearly black" if dark else "")
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        reason = f"no image of a known kind ({', '.join(_FORMATS)})" if data else "empty file"
    except MemoryError:
        raise TooLarge(path, "too large for the memory there is") from None
    except _Unsupported as error:
        reason = f"{error}: save it as an 8-bit PNG"
    except Exception as error:
        # on damaged bytes Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error, …
        reason = f"damaged ({' '.join(str(error).split()) or type(error).__name__})"
    raise UnreadableImage(path, reason)


def _gb_to_decode(image: Image.Image, data: bytes) -> float:
    """An upper bound of what `decode` takes: 4 bytes a pixel in Pillow, and copies on the way."""
    each = 8  # and once more where it is turned upright
    if image.info.get("progressive"):
        each += 8  # the coefficients of the whole image
    if image.mode not in ("RGB", "L") or "transparency" in image.info:
        each += 16  # RGBA, a white ground, both in one
    return (len(data) + each * image.width * image.height) / _GB


def _check_kind(image: ImageFile.ImageFile) -> None:
    """Refuse what Pillow reads without a word and wrongly."""
    if (
        image.format == "GIF"
        and "transparency" not in image.info
        and image.tile[0].extents != (0, 0, *image.size)
    ):
        raise _Unsupported("its first frame does not fill the picture")
    if image.mode == "F":
        raise _Unsupported("floating-point samples have no agreed white")
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits, kinds = tags.get(258, (1,)), tags.get(339, (1,))
    if set(kinds) != {1}:
        raise _Unsupported("samples with a sign or a point")
    if not set(bits) <= {1, 2, 4, 8, 16}:
        raise _Unsupported(f"{max(bits)} bits a sample")
    if max(bits) == 16 and tags.get(262) == 0:
        raise _Unsupported("16 bits a sample of which 0 is white")
    if max(bits) == 16 and len(bits) > 1 and str(image.tile[0].args).startswith("('R',"):
        raise _Unsupported("16 bits a sample in planes")


@contextlib.contextmanager
def _libtiff_hushed() -> Iterator[None]:
    """Keep off stderr what libtiff prints there, without the file's name, before Pillow raises."""
    with _stderr:  # one file descriptor, however many threads
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _upright(image: Image.Image) -> Image.Image:
    try:
        rotated = bool(image.getexif().get(0x0112, 1) != 1)
    except Exception:  # damaged EXIF around a sound image: Pillow raises SyntaxError, struct.error, …
        return image
    return ImageOps.exif_transpose(image) if rotated else image


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

"""An image file of any kind, turned into the 8-bit RGB array that a network expects."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import UserError
from ..params import Preprocess

# Named one by one: Pillow would otherwise hand an EPS to Ghostscript, which is a program in itself.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 89_478_485  # Pillow's own limit for a decompression bomb: 1/4 GiB as 24-bit RGB
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class UnreadableImage(UserError):  # noqa: N818
    """A file that gives no image; `reason` says why, without the file's name."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}; replace or remove it, or set extract.on_bad_image: skip")
        self.path = str(path)
        self.reason = reason

    def __reduce__(
        self,
    ) -> tuple[
        type[UnreadableImage], tuple[str, str]
    ]:  # it travels from the process that decodes to the one that tells
        return type(self), (self.path, self.reason)


def read_image(path: Path | str) -> np.ndarray:
    """Read an image upright, as RGB.

    EXIF rotation is applied, transparency laid on white, grey, palette and CMYK converted, and of 16-bit
    samples the high byte taken. Embedded colour profiles are ignored, as in torchvision.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    UnreadableImage
        If the file is missing, damaged, truncated, no image, or larger than `MAX_PIXELS`.
    """
    return np.asarray(decode(read_bytes(path), path))


def resize_and_crop(image: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Resize the short side to `preprocess.resize` (antialiased) and crop the centre.

    The same geometry as torchvision's `Resize(resize)` and `CenterCrop(crop)` on a PIL image.

    Parameters
    ----------
    image : (H, W, 3) uint8

    Returns
    -------
    (crop, crop, 3) uint8
    """
    return np.asarray(crop_centre(Image.fromarray(image), preprocess))


def read_bytes(path: Path | str) -> bytes:
    """The bytes of an image file; `UnreadableImage` where there are none."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(path, f"cannot be read ({error.strerror})") from None


def decode(data: bytes, path: Path | str) -> Image.Image:
    """Decode the bytes of the image file `path` to an upright RGB image (see `read_image`)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return _to_rgb(_upright(image))
    except UnidentifiedImageError:
        reason = f"no image of a known kind ({', '.join(_FORMATS)})" if data else "empty file"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = f"more than {MAX_PIXELS} pixels: a decompression bomb"
    except MemoryError:
        reason = "too large for the memory"
    except Exception as error:
        # on damaged bytes Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error, …
        reason = f"damaged ({' '.join(str(error).split()) or type(error).__name__})"
    raise UnreadableImage(path, reason)


def _upright(image: Image.Image) -> Image.Image:
    try:
        rotated = bool(image.getexif().get(0x0112, 1) != 1)
    except Exception:  # damaged EXIF around a sound image: Pillow raises SyntaxError, struct.error, …
        return image
    return ImageOps.exif_transpose(image) if rotated else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise ValueError("floating-point samples have no agreed white")
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        image = Image.fromarray((np.clip(samples, 0, 65535) >> 8).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def crop_centre(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """`resize_and_crop` on a PIL image."""
    width, height = image.size
    short = min(width, height)
    new_width, new_height = preprocess.resize * width // short, preprocess.resize * height // short
    left, top = round((new_width - preprocess.crop) / 2), round((new_height - preprocess.crop) / 2)
    # Resampling only what the crop keeps gives the same pixels for half of the work, and makes a
    # panorama of 10000 x 10 pixels as cheap as any other image.
    x, y = width / new_width, height / new_height
    box = (
        left * x,
        top * y,
        min((left + preprocess.crop) * x, width),
        min((top + preprocess.crop) * y, height),
    )
    return image.resize((preprocess.crop, preprocess.crop), _FILTERS[preprocess.interpolation], box=box)

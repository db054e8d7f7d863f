"""Photograph-like pictures of any size, and JPEG files of every kind."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from PIL import Image


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft colours, an edge and some grain."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height))
    pixels = np.asarray(soft).astype(int) + rng.integers(-8, 9, (height, width, 3))
    pixels[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **({"quality": 90} if format == "JPEG" else {}) | options)
    return buffer.getvalue()


def rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, exif=exif)


def of_every_kind(image: Image.Image) -> dict[str, bytes]:
    """{what it is: file}; the plain JPEGs first."""
    grey16 = Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16) << 8) | 0x55)
    return {
        "4:2:0": encoded(image, subsampling="4:2:0"),
        "4:2:2": encoded(image, subsampling="4:2:2"),
        "4:4:4": encoded(image, subsampling="4:4:4"),
        "progressive": encoded(image, progressive=True),
        "optimized": encoded(image, optimize=True),
        "restarts": encoded(image, restart_marker_rows=1),
        "colour profile": encoded(image, icc_profile=b"none"),
        "grey": encoded(image.convert("L")),
        "RGB kept": encoded(image, keep_rgb=True),
        "4:1:1": simplejpeg.encode_jpeg(
            np.asarray(image), 90, "RGB", "411"
        ),  # Pillow writes 4:2:0 by that name
        "CMYK": encoded(image.convert("CMYK")),
        "rotated": rotated(image),
        "two in one": encoded(image, "MPO", save_all=True, append_images=[image]),
        "png": encoded(image, "PNG"),
        "transparent": encoded(image.convert("RGBA"), "PNG"),
        "16 bits": encoded(grey16, "PNG"),
        "webp": encoded(image, "WEBP", lossless=True),
    }

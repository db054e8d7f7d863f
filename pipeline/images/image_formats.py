"""The kinds of image files that are read: by their endings, and by what they begin with."""

from __future__ import annotations

import functools
import importlib.util
import io

from PIL import Image, ImageFile

from .jpeg_damage import START, bits_a_sample

# Named one by one: Pillow would otherwise hand an EPS to Ghostscript, which is a program in itself.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
_HEIF_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
INSTALL_HEIF = "pip install pillow-heif, or 'pool5[heif]'"
HEIF_SUFFIXES = frozenset([".heic", ".heif", ".hif"])
SUFFIXES = frozenset([
    ".avif", ".bmp", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
    *(HEIF_SUFFIXES if importlib.util.find_spec("pillow_heif") else ()),
])  # fmt: skip


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Open an image of a known kind; Pillow's errors."""
    formats = ("HEIF",) if is_heif(data) and _heif_is_read() else FORMATS
    return Image.open(io.BytesIO(data), formats=formats)


def is_heif(data: bytes) -> bool:
    """Whether a file is HEIC or another HEIF; AVIF is a HEIF too, which Pillow reads by itself.

    ISO/IEC 23008-12: the first box, `ftyp`, names the brands.
    """
    if data[4:8] != b"ftyp":
        return False
    end = max(16, min(int.from_bytes(data[:4]), 256))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return not brands & {b"avif", b"avis"} and bool(brands & _HEIF_BRANDS)


@functools.cache
def _heif_is_read() -> bool:
    """Whether pillow-heif is there; it is then made known to Pillow."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return True


def why_not_read(data: bytes) -> str:
    """Why Pillow does not know what these bytes are."""
    if not data:
        return "empty file"
    if is_heif(data) and not _heif_is_read():
        return f"HEIC and other HEIF are read by a package that is not installed: {INSTALL_HEIF}"
    if data.startswith(START) and (bits := bits_a_sample(data)) != 8:
        return f"a JPEG of {bits} bits a sample: save it as an 8-bit PNG"
    Image.preinit()
    Image.init()
    if is_heif(data) or any(
        (accepts := Image.OPEN[name][1]) is not None and accepts(data[:16]) is True for name in FORMATS
    ):
        return "damaged (its head cannot be read)"
    return f"no image of a known kind ({', '.join(FORMATS)}, HEIF)"

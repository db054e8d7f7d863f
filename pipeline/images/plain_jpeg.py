"""The JPEG files that every decoder reads as the same picture."""

from __future__ import annotations

import warnings

from PIL import ImageFile

from .image_file import is_rotated
from .image_formats import open_image
from .jpeg_damage import END, START, frame_of

_HUFFMAN = frozenset([0xC0, 0xC1, 0xC2])  # baseline, extended, progressive
_OF_CARDS = frozenset([0xC0, 0xC2])
_MOST_PIXELS = 1 << 26  # 200 MB on a card
_OF_BRIGHTNESS = b"\x11\x21\x12\x22"  # samples across and down for one of a colour


def plain_jpeg(data: bytes) -> ImageFile.ImageFile | None:
    """A JPEG that is upright, in greys or three colours of 8 bits, opened by Pillow; None for anything else.

    Colours have as many samples as the brightness has, or half as many a side. The coded data are not looked
    at: the decoder finds what they lack.
    """
    if not data.startswith(START):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = open_image(data)
            plain = image.format == "JPEG" and image.mode in ("RGB", "L") and not is_rotated(image)
    except Exception:  # Pillow raises nearly anything; whoever reads the image then tells what it lacks
        return None
    marker, frame = frame_of(data)
    samplings = frame[9::3]
    common = len(samplings) == 1 or (samplings[:1] in _OF_BRIGHTNESS and samplings[1:] == b"\x11\x11")
    return image if plain and marker in _HUFFMAN and common else None


def is_for_cards(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether a plain JPEG is of a kind that decoders of graphics cards know, and ends where it should."""
    marker, frame = frame_of(data)
    return (
        data.endswith(END)
        and marker in _OF_CARDS
        and image.width * image.height <= _MOST_PIXELS
        and frame[8::3] == b"\1\2\3"  # Y, Cb, Cr as JFIF and Exif name them
        and image.info.get("adobe_transform", 1) == 1
    )

"""A picture that stands in a page itself: what notebooks show."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from .address import Address
from .image_file import read_image


def thumbnail_uri(where: Address | Path, side: int = 128) -> str:
    """An image, shrunk to `side` pixels, as a `data:` address of a JPEG.

    Raises
    ------
    UnreadableImage
        If the file is missing, damaged or no image.
    """
    image = Image.fromarray(read_image(where))
    image.thumbnail((side, side), reducing_gap=3.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"

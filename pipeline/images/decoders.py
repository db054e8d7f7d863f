"""Who decodes an image into the pixels that a network sees, as `extract.decoder` names it.

Other decoders give other pixels, so it is part of the feature key, and whoever makes pixels for a key takes
them from here. A further one is a function in a file of its own and a line here.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UserError
from ..params import Preprocess
from .budget import Budget
from .image_file import decode, gb_to_decode
from .plain_jpeg import is_for_cards, plain_jpeg
from .transform import Picture, crop_centre


class Decoder(Protocol):
    """Gives the upright RGB picture of an image's bytes (see `image_file.read_image`).

    The picture is decided by the bytes and the preprocessing alone. What gives no pixels or takes more memory
    than it may is refused by all of them, in the same words. The picture may have been decoded at a smaller
    size, though no smaller than it is resized to; None: it is left to the network's device.
    """

    def __call__(
        self, data: bytes, path: Path | str, budget: Budget, preprocess: Preprocess
    ) -> Picture | None:
        """Decode; `UnreadableImage` where there is no image."""
        ...


def with_pillow(data: bytes, path: Path | str, budget: Budget, preprocess: Preprocess) -> Picture:
    """Any image, by Pillow."""
    image = decode(data, path, budget)
    return Picture(image, image.size)


def with_nvjpeg(data: bytes, path: Path | str, budget: Budget, preprocess: Preprocess) -> Picture | None:
    """A plain JPEG is left to the device, all else is decoded by Pillow.

    What the coded data lack is not found here: the bytes are those that have been checked for the manifest.
    """
    if (image := plain_jpeg(data)) and is_for_cards(image, data):
        with budget.take(gb_to_decode(image, data), path):
            return None
    return with_pillow(data, path, budget, preprocess)


def seen_by(
    decoder: Decoder, data: bytes, path: Path | str, budget: Budget, preprocess: Preprocess
) -> np.ndarray | bytes:
    """The (crop, crop, 3) uint8 pixels that a network sees; the file itself if it is left to its device."""
    picture = decoder(data, path, budget, preprocess)
    return data if picture is None else np.asarray(crop_centre(picture, preprocess))


_DECODERS = {
    "pillow": "decoders:with_pillow",
    "turbojpeg": "turbojpeg:with_turbojpeg",
    "nvjpeg": "decoders:with_nvjpeg",
}


def decoder_of(name: str) -> Decoder:
    """The one that `extract.decoder` names; imported when it is asked for."""
    module, _, function = _DECODERS[name].partition(":")
    try:
        decoder: Decoder = getattr(importlib.import_module(f".{module}", __package__), function)
    except ModuleNotFoundError as error:
        told = f"extract.decoder: {name}: {error.name} is not installed"
        raise UserError(f"{told}; run pip install 'pool5[pipeline]', or take pillow") from None
    return decoder

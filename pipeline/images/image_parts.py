"""Parts of images, one after another: an image is read and decoded once for those that follow each other."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from ..params import Preprocess
from .address import Address
from .budget import ANY_MEMORY, Budget
from .decoders import Decoder, seen_by, with_pillow
from .image_bytes import digest_of, part_digest, read_bytes
from .image_file import cropped, decode
from .transform import crop_centre


class ImageParts:
    """Reads addresses; of an image whose part was asked for, the whole stays until another image is.

    Parameters
    ----------
    budget : Budget
        What decoding may take.
    read : function
        What gives an address's bytes.
    decoder : Decoder
        Of images that are wanted whole by a network.
    """

    def __init__(
        self,
        budget: Budget = ANY_MEMORY,
        read: Callable[[Address, Budget], bytes] = read_bytes,
        decoder: Decoder = with_pillow,
    ) -> None:
        self._budget, self._read, self._decoder = budget, read, decoder
        self._whole: Address | None = None
        self._data = b""
        self._digest: bytes | None = None
        self._image: Image.Image | None = None

    def digest(self, address: Address) -> bytes:
        """`digest_of` the image's bytes; `UnreadableImage` where there are none."""
        whole = self._take(address)
        if self._digest is None:
            self._digest = digest_of(self._data, whole)
        return part_digest(self._digest, address.crop)

    def picture(self, address: Address) -> Image.Image:
        """The upright picture, or the part of it; `UnreadableImage` where there is none."""
        self._take(address)
        if self._image is None:
            self._image = decode(self._data, str(address), self._budget)
        image = cropped(self._image, address)
        if address.crop is None:
            self._forget()
        return image

    def seen(self, address: Address, preprocess: Preprocess) -> np.ndarray | bytes:
        """The (crop, crop, 3) uint8 pixels that a network sees, or the file that is left to its device.

        Of an image whose part is asked for Pillow decodes the whole, whatever the decoder.
        """
        if address.crop is not None:
            return np.asarray(crop_centre(self.picture(address), preprocess))
        self._take(address)
        data = self._data
        self._forget()
        return seen_by(self._decoder, data, str(address), self._budget, preprocess)

    def _take(self, address: Address) -> Address:
        whole = whole_image(address)
        if whole != self._whole:
            self._forget()  # before another takes its room
            self._data = self._read(whole, self._budget)
            self._whole = whole
        return whole

    def _forget(self) -> None:
        self._whole = self._digest = self._image = None
        self._data = b""


def whole_image(address: Address) -> Address:
    """Where the image is that an address means a part of."""
    return address if address.crop is None else dataclasses.replace(address, crop=None)


def by_image(addresses: Iterable[Address]) -> list[list[Address]]:
    """The addresses, those together that are parts of one image and follow each other."""
    groups = itertools.groupby(addresses, whole_image)
    return [list(parts) for _, parts in groups]

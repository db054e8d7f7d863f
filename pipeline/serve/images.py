"""The images of the store: their bytes, as their features were made of, and small pictures of them."""

from __future__ import annotations

import collections
import dataclasses
import io
import threading
from pathlib import Path

import numpy as np

from ..errors import NotThere, UserError
from ..images.address import Address
from ..questions.open_store import OpenStore
from .listing import file_of

SIZES = (64, 96, 128, 192, 256, 384, 512)  # of thumbnails: few, so that they are kept rather than made
_QUALITY = 80


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """An image of the store.

    Attributes
    ----------
    digest : bytes
        BLAKE2b-128 of what its features were made of.
    address : Address
    """

    id: str
    split: str
    digest: bytes
    address: Address

    def read(self) -> bytes:
        """The file's bytes; `NotThere` if there are none, or others than the features were made of."""
        from ..images.image_bytes import digest_of, read_bytes  # brings pyarrow

        try:
            data = read_bytes(self.address)
        except UserError:
            raise NotThere(f"image {self.id}: its file cannot be read any more") from None
        if digest_of(data, self.address) != self.digest:
            raise NotThere(f"image {self.id}: its file is another one than its features were made of")
        return data


def find_image(store: OpenStore, name: str, split: str | None) -> StoredImage:
    """Look up an id in a split, or in all of them, that of `dataset.test` first; `NotThere` if in none."""
    if split is not None:
        file_of(store, split)  # refuses one that is not there
    for own in store.splits if split is None else [split]:
        for (_, of), file in store.features.items():
            if of == own and name in file:
                row = int(file.rows([name])[0])
                if address := _address(store, own, name, row):
                    return StoredImage(name, own, file.digests[row].tobytes(), address)
    where = f" in split {split}" if split else ""
    raise NotThere(f"no image {name}{where}")


def _address(store: OpenStore, split: str, name: str, row: int) -> Address | None:
    """Where an image is; the manifest has it in the row of the features, unless some were passed over."""
    manifest = store.manifests[split]
    if row >= len(manifest) or manifest.ids[row] != name:
        found = np.flatnonzero(manifest.ids == name)
        if not len(found):
            return None
        row = int(found[0])
    return Address.parse(manifest.paths[row], store.project.images(store.params.dataset.root))


class StoredImages:
    """Thumbnails, those that were asked for last in memory.

    Parameters
    ----------
    kept_bytes : int
        Of all that are kept.
    """

    def __init__(self, kept_bytes: int = 64 << 20) -> None:
        self._room = kept_bytes
        self._kept: collections.OrderedDict[tuple[bytes, int], bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def thumbnail(self, image: StoredImage, size: int) -> bytes:
        """A WebP picture, its longer side at most the next of `SIZES`; `NotThere` as `StoredImage.read`."""
        side = next((own for own in SIZES if own >= size), SIZES[-1])
        key = image.digest, side
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found
        made = _shrunk(image, side)
        with self._lock:
            self._room -= 0 if key in self._kept else len(made)
            self._kept[key] = made
            while self._room < 0 and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._room += len(dropped)
        return made


def _shrunk(image: StoredImage, side: int) -> bytes:
    from PIL import Image

    from ..images.image_file import cropped, decode

    data = image.read()
    try:
        picture = cropped(decode(data, Path(image.id)), image.address)
    except UserError:
        raise NotThere(f"image {image.id}: its file cannot be decoded") from None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return buffer.getvalue()

"""Features of images that are in no data set, such as a query's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..images.address import Address
from ..images.budget import Budget, UnreadableImage
from ..images.decoders import decoder_of, seen_by
from ..images.image_bytes import read_bytes
from ..images.image_file import decode
from ..images.jpeg_damage import check_jpeg
from ..models.card import read_card, settled_by
from ..params import Params
from ..project import Project
from .forward import load_forward
from .work import rounded_batch


class OpenNetwork:
    """A stored model's network, open for images that are asked for one after the other.

    They get the features that the extraction would store: same pixels, weights, precision, dtype and bits.
    Nothing is written, and the row cache is not asked.

    Parameters
    ----------
    model : str
        A name in params.yaml.
    params : Params
    layers : sequence of str, optional
        By default every layer of the model; they cost one forward pass together.
    project : Project
        Where the model is; by default the working folder.

    Attributes
    ----------
    layers : {name: Layer}

    Raises
    ------
    UserError
        If there is no such model or layer, or it has not been made.
    """

    def __init__(
        self,
        model: str,
        params: Params,
        layers: Sequence[str] | None = None,
        project: Project = Project(),  # noqa: B008 - immutable
    ) -> None:
        spec = settled_by(read_card(project.model(model)), params.model(model))
        if unknown := [layer for layer in layers or () if layer not in spec.layers]:
            raise UserError(f"{model} has no layer {unknown[0]}; it has {', '.join(spec.layers)}")
        self.layers = {layer: spec.nodes[layer] for layer in layers or spec.layers}
        self._decoder = decoder_of(params.extract.decoder)
        wanted = list(dict.fromkeys(self.layers.values()))
        self.forward = load_forward(project.model(model), spec, wanted, params.extract, project.root)
        self._preprocess = spec.transform
        self._budget = Budget(params.extract.memory_gb)
        self._batch = rounded_batch(params.extract.batch_size)

    @property
    def blank(self) -> np.ndarray:
        """Pixels of no image."""
        return np.zeros((self._preprocess.crop, self._preprocess.crop, 3), np.uint8)

    def pixels(self, image: Path | str | bytes, name: str = "") -> np.ndarray:
        """The (crop, crop, 3) uint8 pixels that the network sees of an image file, or of the bytes of one.

        `name` is what the latter is called.

        Raises
        ------
        UnreadableImage
            If it gives no pixels.
        """
        if isinstance(image, bytes):
            data = image
        else:
            name, data = str(image), read_bytes(Address(str(image)), self._budget)
        seen = seen_by(self._decoder, data, name, self._budget, self._preprocess)
        return seen if isinstance(seen, np.ndarray) else self._decoded_there(seen, name)

    def _decoded_there(self, data: bytes, name: str) -> np.ndarray:
        """The pixels of a file that is left to the device; nobody has checked this one before."""
        decode(data, name, self._budget)
        check_jpeg(data, name)
        images, refused = self.forward.decode(self.blank[None], {0: np.frombuffer(data, np.uint8)})
        if refused:
            raise UnreadableImage(name, refused[0])
        pixels: np.ndarray = images[0].cpu().numpy()
        return pixels

    def features(self, pixels: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """The features of n images, of which `pixels` are what the network sees; at most a batch is held.

        Returns
        -------
        {layer: (n, D) array of `extract.dtype`}
        """
        left = iter(pixels)
        batches = []
        while some := list(itertools.islice(left, self._batch)):
            batches.append(self._one_batch(some))
        return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in self.layers}

    def _one_batch(self, pixels: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        images = np.zeros((rounded_batch(len(pixels)), *self.blank.shape), np.uint8)
        images[: len(pixels)] = pixels
        values = self.forward.start(images)()
        return {layer: values[node][: len(pixels)] for layer, node in self.layers.items()}


def embed_images(
    paths: Sequence[Path | str],
    model: str,
    params: Params,
    layers: Sequence[str] | None = None,
    project: Project = Project(),  # noqa: B008 - immutable
) -> dict[str, np.ndarray]:
    """The features of n image files; the network is opened for them alone (see `OpenNetwork`).

    Returns
    -------
    {layer: (n, D) array of `extract.dtype`}

    Raises
    ------
    UnreadableImage
        For an image that gives no pixels.
    UserError
        As `OpenNetwork`.
    """
    network = OpenNetwork(model, params, layers, project)
    return network.features(map(network.pixels, paths))

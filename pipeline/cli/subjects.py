"""What a command is asked about: images of the data set by their ids, or image files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..params import Params
from ..store.feature_file import FeatureFile


def find_image(features: FeatureFile, layer: str, name: str) -> tuple[FeatureFile, int] | None:
    """The feature file that has an image, `features` or one of the model's other splits, and its row there.

    Raises
    ------
    UserError
        If the other split's features have another key.
    """
    for path in (features.path, *sorted(features.path.parent.glob("*.h5"))):
        file = features if path == features.path else FeatureFile.open(path)
        if name in file:
            if file.key_digest(layer) != features.key_digest(layer):
                raise UserError(f"{path}: other features than {features.path}", rerun="extract")
            return file, int(file.rows([name])[0])
    return None


def stored_image(features: FeatureFile, layer: str, name: str) -> tuple[FeatureFile, int]:
    """As `find_image`; refuses what no split has, and names ids of `features` that are near."""
    return find_image(features, layer, name) or (features, int(features.rows([name])[0]))


def embed_files(
    images: Sequence[Path], features: FeatureFile, model: str, layer: str, params: Params
) -> np.ndarray:
    """The (n, D) features of image files, which go through just what the stored ones went through.

    Raises
    ------
    UserError
        If a file is no image, or `features` have another key than params.yaml and data/models ask for.
    """
    from ..images.budget import Budget, UnreadableImage
    from ..images.image_file import read_image

    check_key(params, model, layer, features)
    try:
        for image in images:
            # what is no image is refused before the network is built
            read_image(image, Budget(params.extract.memory_gb))
    except UnreadableImage as error:
        raise UserError(f"--image {error.path}: {error.reason}; give another file") from None
    from ..extract.embed import embed_images

    return embed_images(images, model, params, layers=[layer])[layer]


def check_key(params: Params, model: str, layer: str, features: FeatureFile) -> None:
    """Refuse features of another key than params.yaml and data/models ask for now."""
    from ..extract.keys import feature_keys

    stored, wanted = features.feature_key(layer), feature_keys(params, model).get(layer)
    if wanted is None:
        layers = ", ".join(params.models[model].layers)
        raise UserError(f"{model} has no layer {layer} in params.yaml; it has {layers}")
    if wanted.hex != stored.hex:
        fields = [
            name for name, value in dataclasses.asdict(wanted).items() if getattr(stored, name) != value
        ]
        raise UserError(
            f"{features.path}: {layer} was stored with another {' and '.join(fields)} than params.yaml and "
            "the model have now",
            rerun="extract",
        )
